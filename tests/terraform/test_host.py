"""A host's own script: AWS and the engine are played by scripts that write down what they were asked, the firewall is real."""

from __future__ import annotations

import base64
import gzip
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support import require

SCRIPT = Path(__file__).parents[2] / "infra/terraform/modules/host/hls-failover.sh"

FILES = {
    "compose.yaml": "services: {}\n",
    "compose.aws.yaml": "services: {}\n",
    "infra/edge/nginx.conf": "events {}\n",
    "infra/edge/count-hits": "#!/bin/sh\n",
    ".env": "FAILOVER_S3_BUCKET=bucket\nSERVER_IMAGE=registry/server:1\n",
    "secrets": "FAILOVER_DATABASE_URL arn:one\nFAILOVER_ADMIN_KEY arn:two\n",
    "images": "registry/server:1\nregistry/transcoder:1\n",
}


class Host:
    """A directory that is the host, and what was asked of it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root, self.run = home / "opt", home / "run"
        self.asked = home / "asked"
        self.bin = home / "bin"
        self.bin.mkdir()
        self.release(FILES)
        (home / "instance-id").write_text("i-1")
        (home / "host.env").write_text(
            f'NAME="tv"\nREGION="eu-west-1"\nROOT="{self.root}"\nRUN="{self.run}"\nCOMPOSE_IMAGE="compose:1"\n'
            'SESSION_CIDR="100.64.0.0/20"\nSOURCE_CIDRS="10.20.0.0/24"\nVPC_CIDR="10.64.0.0/16"\nRESOLVER="10.64.0.2"\n'
        )
        self.command(
            "aws",
            'case "$1 $2" in\n'
            f'  "ssm get-parameters-by-path") cat {home}/parameters ;;\n'
            '  "secretsmanager get-secret-value") echo "value of $6" ;;\n'
            "esac",
        )
        self.command("curl", 'while [ "$1" != --output ]; do shift; done; echo certificate >"$2"')
        self.command("docker", 'case "$*" in "image inspect"*|"network inspect"*) exit 1 ;; esac')
        self.command("iptables", "exit 0")
        self.command("logger", 'shift 3; echo "$*" >&2')
        self.command("chown", "exit 0")

    def release(self, files: dict[str, str]) -> None:
        packed = {path: base64.b64encode(gzip.compress(text.encode())).decode() for path, text in files.items()}
        (self.home / "parameters").write_text("".join(f"/tv/files/{path}\t{value}\n" for path, value in packed.items()))

    def command(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>{self.asked}\n{script}\n')
        path.chmod(0o755)

    def does(self, command: str) -> subprocess.CompletedProcess[str]:
        self.asked.write_text("")
        environ = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HLS_FAILOVER_HOST_ENV": str(self.home / "host.env"),
            "INSTANCE_ID_FILE": str(self.home / "instance-id"),
            "SERVICE_UID": str(os.getuid()),
        }
        return subprocess.run([SCRIPT, command], env=environ, capture_output=True, text=True)

    def calls(self, word: str) -> list[str]:
        return [line for line in self.asked.read_text().splitlines() if line.startswith(word)]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_release_is_fetched_pulled_and_started(host: Host) -> None:
    done = host.does("apply")
    assert done.returncode == 0, done.stderr
    assert (host.root / "infra/edge/nginx.conf").read_text() == "events {}\n"
    assert [os.access(host.root / "infra/edge" / name, os.X_OK) for name in ("count-hits", "nginx.conf")] == [True, False]
    assert host.calls("docker pull") == ["docker pull --quiet registry/server:1", "docker pull --quiet registry/transcoder:1"]
    (network,) = host.calls("docker network create")
    assert "--subnet 100.64.0.0/20" in network
    assert "enable_icc=false" in network
    last = host.calls("docker")[-1]
    assert last.endswith("--file compose.yaml --file compose.aws.yaml up --detach --no-build --remove-orphans")
    assert "compose:1 docker compose" in last


def test_secrets_are_files_that_only_their_reader_reads(host: Host) -> None:
    assert host.does("apply").returncode == 0
    secret = host.run / "secrets/database_url"
    assert secret.read_text() == "value of arn:one\n"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o400
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o500
    assert {each.name for each in secret.parent.iterdir()} == {"database_url", "admin_key"}
    assert "value of" not in (host.root / ".env").read_text()


def test_services_are_made_anew_when_a_secret_has_changed_and_only_then(host: Host) -> None:
    def environment() -> str:
        assert host.does("apply").returncode == 0
        return (host.root / ".env").read_text()

    first = environment()
    assert environment() == first
    host.release(FILES | {"secrets": FILES["secrets"].replace("arn:two", "arn:three")})
    assert environment() != first
    assert environment().count("FILES_DIGEST=") == 1


def test_without_a_release_nothing_is_started(host: Host) -> None:
    host.release({})
    done = host.does("apply")
    assert done.returncode != 0
    assert "holds no release" in done.stderr
    assert host.calls("docker") == []


def test_a_secret_that_cannot_be_had_changes_nothing(host: Host) -> None:
    assert host.does("apply").returncode == 0
    host.command("aws", f'[ "$1" = ssm ] && cat {host.home}/parameters')
    assert host.does("apply").returncode != 0
    assert (host.run / "secrets/database_url").read_text() == "value of arn:one\n"
    assert host.calls("docker") == []


def test_old_certificates_are_good_enough_and_none_are_not(host: Host) -> None:
    host.command("curl", "exit 22")
    assert host.does("apply").returncode != 0
    host.root.joinpath("rds-ca.pem").write_text("from yesterday")
    assert host.does("apply").returncode == 0


def test_a_host_is_given_up_when_its_engine_is_silent_five_times_in_a_row(host: Host) -> None:
    host.run.mkdir()
    host.command("docker", "exit 1")
    for _ in range(4):
        assert host.does("watch").returncode == 0
        assert host.calls("aws") == []
    host.does("watch")
    (call,) = host.calls("aws")
    assert call == "aws autoscaling set-instance-health --region eu-west-1 --health-status Unhealthy --instance-id i-1"
    host.command("docker", "exit 0")
    host.does("watch")
    host.command("docker", "exit 1")
    host.does("watch")
    assert host.calls("aws") == []


def test_sessions_are_rolled_once_the_new_orchestrator_is_healthy(host: Host) -> None:
    host.command("sleep", "exit 0")
    host.command(
        "docker", f'if [ "$1" = ps ]; then echo >>{host.home}/looks; [ "$(wc -l <{host.home}/looks)" -lt 3 ] || echo id; fi'
    )
    assert host.does("roll").returncode == 0
    assert len(host.calls("docker")) == 4
    assert host.calls("docker")[-1].endswith("exec -T orchestrator failover sessions roll")


def test_with_an_orchestrator_that_does_not_come_up_nothing_is_rolled(host: Host) -> None:
    host.command("sleep", "exit 0")
    assert host.does("roll").returncode == 1
    assert not any("roll" in call for call in host.calls("docker"))


def test_an_unknown_word_is_answered_with_what_there_is(host: Host) -> None:
    done = host.does("help")
    assert done.returncode == 2
    assert "hls-failover apply" in done.stderr


# --- the firewall, by the kernel --------------------------------------------------------------------------------------


def _in_a_network_of_its_own(host: Host, script: str) -> str:
    (host.bin / "iptables").unlink()
    environ = {"PATH": f"{host.bin}:{os.environ['PATH']}", "HLS_FAILOVER_HOST_ENV": str(host.home / "host.env")}
    done = subprocess.run(["unshare", "--net", "bash", "-euc", script], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def network_namespaces() -> None:
    require("iptables", shutil.which("iptables"), "none on this machine")
    made = subprocess.run(
        ["unshare", "--net", "iptables", "--wait", "--new-chain", "DOCKER-USER"], capture_output=True, text=True
    )
    require("a network namespace", made.returncode == 0, made.stderr.strip())


def test_the_firewall_may_be_set_twice_and_says_the_same(host: Host, network_namespaces: None) -> None:
    once, twice = (
        _in_a_network_of_its_own(Host(_empty(host.home / name)), f"iptables -N DOCKER-USER; {calls}; iptables -S")
        for name, calls in (("once", f"{SCRIPT} firewall"), ("twice", f"{SCRIPT} firewall; {SCRIPT} firewall"))
    )
    assert once == twice
    assert once.count("-j HLS-SESSIONS") == 1


def _empty(path: Path) -> Path:
    path.mkdir()
    return path


_WORLD = """
iptables -N DOCKER-USER; iptables -P FORWARD DROP; iptables -A FORWARD -j DOCKER-USER; iptables -A FORWARD -j ACCEPT
ip link set lo up; echo 1 >/proc/sys/net/ipv4/ip_forward
ip link add hls-sessions type bridge; ip addr add 100.64.0.1/20 dev hls-sessions; ip link set hls-sessions up
unshare --net sleep 30 & session=$!; unshare --net sleep 30 & world=$!; trap 'kill $session $world' EXIT
until [ "$(readlink /proc/$session/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do :; done
until [ "$(readlink /proc/$world/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do :; done
ip link add s0 type veth peer name s1 netns $session; ip link set s0 master hls-sessions up
ip link add w0 type veth peer name w1 netns $world; ip addr add 192.0.2.1/24 dev w0; ip link set w0 up
for net in 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 198.51.100.0/24 169.254.0.0/16; do ip route add $net dev w0; done
nsenter --target $session --net sh -c 'ip link set s1 up; ip addr add 100.64.0.2/20 dev s1; ip route add default via 100.64.0.1'
nsenter --target $world --net sh -c 'ip link set lo up; ip link set w1 up; ip addr add 192.0.2.2/24 dev w1
    ip route add default via 192.0.2.1
    for a in 10.64.0.2 10.64.128.9 10.20.0.9 10.30.0.9 172.17.0.2 192.168.1.1 198.51.100.7 169.254.169.254; do
        ip addr add $a/32 dev w1; done'
"""


@pytest.mark.slow
def test_a_session_finds_the_internet_and_nothing_private(host: Host, network_namespaces: None) -> None:
    """Over a real bridge: a namespace plays the session's container, another one everything else."""
    require("ip", shutil.which("ip"), "no iproute2 on this machine")
    listen = """
nsenter --target $world --net python3 -c '
import socketserver
class Reply(socketserver.BaseRequestHandler):
    def handle(self): pass
socketserver.TCPServer.allow_reuse_address = True
import threading
for port in (53, 80, 5432):
    threading.Thread(target=socketserver.ThreadingTCPServer(("0.0.0.0", port), Reply).serve_forever).start()
' & listener=$!; trap 'kill $session $world $listener' EXIT
until nsenter --target $world --net bash -c 'exec 3<>/dev/tcp/127.0.0.1/5432' 2>/dev/null; do sleep 0.1; done
python3 -m http.server 8080 --bind 0.0.0.0 >/dev/null 2>&1 & own=$!; trap 'kill $session $world $listener $own' EXIT
until bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080' 2>/dev/null; do sleep 0.1; done
for at in 198.51.100.7/80 10.20.0.9/80 10.64.0.2/53 10.64.0.2/80 10.64.128.9/5432 10.30.0.9/80 172.17.0.2/80 192.168.1.1/80 \\
    169.254.169.254/80 100.64.0.1/8080; do
    (nsenter --target $session --net timeout 1 bash -c "exec 3<>/dev/tcp/$at" 2>/dev/null && echo "$at") &
    tries="${tries:-} $!"
done
for try in $tries; do wait $try || true; done
"""
    before = _in_a_network_of_its_own(Host(_empty(host.home / "open")), _WORLD + listen)
    assert len(before.splitlines()) == 10, "without the firewall everything is reached, else this test would prove nothing"
    reached = _in_a_network_of_its_own(host, _WORLD + f"{SCRIPT} firewall\n" + listen)
    assert set(reached.split()) == {"198.51.100.7/80", "10.20.0.9/80", "10.64.0.2/53"}
