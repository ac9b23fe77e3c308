#!/bin/bash
# This host, made what Parameter Store and Secrets Manager say. Every command is safe to repeat.
#
#   hls-failover apply     fetch the release and its secrets, start what is new, leave alone what is not
#   hls-failover roll      a fresh attempt for every session, without a gap: after a new transcoder image or a new key
#   hls-failover firewall  what sessions' containers may reach
#   hls-failover watch     give this host up when its engine has not answered for five minutes
#   hls-failover compose … docker compose, with this release's files
set -euo pipefail

. "${HLS_FAILOVER_HOST_ENV:-/etc/hls-failover/host.env}"
RUN=${RUN:-/run/hls-failover}
SERVICE_UID=${SERVICE_UID:-10001} # of both images

say() { logger --tag hls-failover --stderr -- "$*"; }

compose() {
    # Compose comes as a pinned image, like everything else that runs here.
    docker run --rm --interactive --network none \
        --volume /var/run/docker.sock:/var/run/docker.sock --volume "$ROOT:$ROOT:ro" --workdir "$ROOT" \
        "$COMPOSE_IMAGE" docker compose --file compose.yaml --file compose.aws.yaml "$@"
}

# Under a new name first: what is half fetched is never read.
fetch_files() {
    local parameter value path found=0
    while read -r parameter value; do
        path="$ROOT/${parameter#"/$NAME/files/"}"
        mkdir -p "$(dirname "$path")"
        base64 --decode <<<"$value" | gunzip >"$path.new"
        if head -c 2 "$path.new" | grep -q '#!'; then chmod 0755 "$path.new"; fi
        mv "$path.new" "$path"
        found=1
    done < <(aws ssm get-parameters-by-path --region "$REGION" --path "/$NAME/files" --recursive \
        --query 'Parameters[].[Name,Value]' --output text)
    [ "$found" = 1 ] || { say "Parameter Store holds no release for $NAME"; return 1; }
}

# In memory alone (tmpfs), readable by the services' user alone.
fetch_secrets() {
    local setting arn name
    install --directory --mode 0500 --owner "$SERVICE_UID" "$RUN/secrets"
    while read -r setting arn; do
        name=${setting#FAILOVER_}
        name=${name,,}
        (umask 077; aws secretsmanager get-secret-value --region "$REGION" --secret-id "$arn" \
            --query SecretString --output text >"$RUN/secrets/.$name")
        chown "$SERVICE_UID" "$RUN/secrets/.$name"
        chmod 0400 "$RUN/secrets/.$name"
        mv "$RUN/secrets/.$name" "$RUN/secrets/$name"
    done <"$ROOT/secrets"
}

# By these the database proves that it is the database. One that is there is good enough where the new one cannot be had.
fetch_authorities() {
    local bundle="$ROOT/rds-ca.pem"
    if curl --fail --silent --show-error --location --max-time 30 --output "$bundle.new" \
        "https://truststore.pki.rds.amazonaws.com/$REGION/$REGION-bundle.pem"; then
        chmod 0644 "$bundle.new"
        mv "$bundle.new" "$bundle"
    fi
    [ -s "$bundle" ]
}

# A container is made anew when what it was made from has changed. Compose sees the settings, not what is in the files.
sign() {
    local digest
    digest=$(cat "$RUN"/secrets/* "$ROOT/rds-ca.pem" "$ROOT"/infra/edge/* | sha256sum | cut -c 1-16)
    sed -i '/^FILES_DIGEST=/d' "$ROOT/.env"
    echo "FILES_DIGEST=$digest" >>"$ROOT/.env"
}

pull() {
    local image
    while read -r image; do
        docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image"
    done <"$ROOT/images"
}

network() {
    docker network inspect hls-sessions >/dev/null 2>&1 || docker network create --driver bridge --subnet "$SESSION_CIDR" \
        --opt com.docker.network.bridge.name=hls-sessions --opt com.docker.network.bridge.enable_icc=false hls-sessions
}

# A decoder that is subverted by what it decodes finds the internet, which it has anyway, and the resolver: not the database,
# not the API, not this host, not its metadata, not another session.
firewall() {
    local cidr protocol
    iptables --wait --new-chain HLS-SESSIONS 2>/dev/null || iptables --wait --flush HLS-SESSIONS
    iptables --wait --append HLS-SESSIONS --match conntrack --ctstate ESTABLISHED,RELATED --jump RETURN
    for protocol in udp tcp; do
        iptables --wait --append HLS-SESSIONS --destination "$RESOLVER" --protocol "$protocol" --dport 53 --jump RETURN
    done
    for cidr in $SOURCE_CIDRS; do iptables --wait --append HLS-SESSIONS --destination "$cidr" --jump RETURN; done
    for cidr in 10.0.0.0/8 100.64.0.0/10 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16 "$VPC_CIDR"; do
        iptables --wait --append HLS-SESSIONS --destination "$cidr" --jump DROP
    done
    iptables --wait --check DOCKER-USER --in-interface hls-sessions --jump HLS-SESSIONS 2>/dev/null \
        || iptables --wait --insert DOCKER-USER --in-interface hls-sessions --jump HLS-SESSIONS
    iptables --wait --check INPUT --in-interface hls-sessions --jump DROP 2>/dev/null \
        || iptables --wait --insert INPUT --in-interface hls-sessions --jump DROP
}

apply() {
    mkdir -p "$ROOT" "$RUN"
    fetch_files
    fetch_secrets
    fetch_authorities
    sign
    pull
    network
    firewall
    # One replica of the API first: what one `up` replaces is away until all of it has been created.
    compose up --detach --no-build --wait api || say "the first replica of the API is not well"
    compose up --detach --no-build --remove-orphans
    say "the release is applied: $(grep ^SERVER_IMAGE= "$ROOT/.env")"
}

roll() {
    local try healthy
    for try in {1..60}; do
        healthy=$(docker ps --quiet --filter label=com.docker.compose.service=orchestrator --filter health=healthy)
        [ -z "$healthy" ] || break
        [ "$try" -lt 60 ] || { say "the orchestrator is not healthy: nothing is rolled"; return 1; }
        sleep 2
    done
    compose exec -T orchestrator failover sessions roll
}

watch() {
    local failures
    if timeout 20 docker info >/dev/null 2>&1; then
        rm -f "$RUN/silent"
        return
    fi
    mkdir -p "$RUN"
    failures=$(($(cat "$RUN/silent" 2>/dev/null || echo 0) + 1))
    echo "$failures" >"$RUN/silent"
    say "the engine does not answer ($failures of 5)"
    [ "$failures" -lt 5 ] || aws autoscaling set-instance-health --region "$REGION" --health-status Unhealthy \
        --instance-id "$(cat "${INSTANCE_ID_FILE:-/var/lib/cloud/data/instance-id}")"
}

case "${1:-}" in
    apply | roll | firewall | watch) "$1" ;;
    compose) shift; compose "$@" ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
