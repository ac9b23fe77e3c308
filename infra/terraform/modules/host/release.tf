# What runs on the host: the files of a release, in Parameter Store, and how a host takes them. A new release changes these
# parameters and not the machine: the document `release` brings it in, and every session is rolled without a gap.

locals {
  root = "/opt/hls-failover"

  settings = merge(var.settings, {
    FAILOVER_TRANSCODER_IMAGE = var.images.transcoder
    FAILOVER_DOCKER_NETWORK   = "hls-sessions"
  })

  # What compose interpolates, beside the settings.
  compose_variables = {
    SERVER_IMAGE       = var.images.server
    TRANSCODER_IMAGE   = var.images.transcoder
    EDGE_IMAGE         = var.images.edge
    ENGINE_IMAGE       = var.images.engine
    EDGE_PORT          = var.api_port
    EDGE_TRUSTED_PROXY = var.vpc_cidr
    LOG_GROUP          = aws_cloudwatch_log_group.host.name
    LOG_REGION         = local.region
  }

  files = merge(var.files, {
    "compose.aws.yaml" = file("${path.module}/compose.aws.yaml")
    ".env"             = join("", [for name, value in merge(local.settings, local.compose_variables) : "${name}=${value}\n"])
    "secrets"          = join("", [for name, arn in var.secret_arns : "${name} ${arn}\n"])
    "images"           = join("", [for image in values(var.images) : "${image}\n"])
  })

  host_env = {
    NAME          = var.name
    REGION        = local.region
    ROOT          = local.root
    COMPOSE_IMAGE = var.images.compose
    SESSION_CIDR  = var.session_cidr
    SOURCE_CIDRS  = join(" ", var.source_cidrs)
    VPC_CIDR      = var.vpc_cidr
    RESOLVER      = cidrhost(var.vpc_cidr, 2)
  }

  # Both go by cloud-init to a host that has just started; nothing in them is secret.
  cloud_config = join("\n", ["#cloud-config", yamlencode({
    packages = ["docker", "amazon-ecr-credential-helper"]
    write_files = [
      for path, file in {
        "/etc/docker/daemon.json"                        = { content = jsonencode(local.daemon) }
        "/root/.docker/config.json"                      = { content = jsonencode({ credHelpers = local.registries }) }
        "/etc/hls-failover/host.env"                     = { content = join("", [for name, value in local.host_env : "${name}=\"${value}\"\n"]) }
        "/usr/local/sbin/hls-failover"                   = { content = file("${path.module}/hls-failover.sh"), permissions = "0755" }
        "/etc/systemd/system/hls-failover.service"       = { content = file("${path.module}/systemd/hls-failover.service") }
        "/etc/systemd/system/hls-failover-watch.service" = { content = file("${path.module}/systemd/hls-failover-watch.service") }
        "/etc/systemd/system/hls-failover-watch.timer"   = { content = file("${path.module}/systemd/hls-failover-watch.timer") }
      } : merge({ path = path, permissions = "0644" }, file)
    ]
    runcmd = ["systemctl daemon-reload", "systemctl enable --now docker.service hls-failover-watch.timer", "systemctl enable --now --no-block hls-failover.service"]
  })])

  # Containers go on while the engine itself is restarted.
  daemon = { live-restore = true, log-driver = "local", userland-proxy = false }

  registries = { for host in toset([for image in values(var.images) : split("/", image)[0]]) : host => "ecr-login" if can(regex("^[0-9]{12}\\.dkr\\.ecr\\.", host)) }
}

resource "aws_ssm_parameter" "file" {
  # checkov:skip=CKV2_AWS_34:Files of a release, and names of secrets; the secrets themselves are in Secrets Manager.
  # checkov:skip=CKV_AWS_337:The same.
  for_each = local.files

  name           = "/${var.name}/files/${each.key}"
  description    = "A file of the release on ${var.name}'s host (gzip, base64)"
  type           = "String"
  tier           = "Intelligent-Tiering"
  insecure_value = base64gzip(each.value)

  lifecycle {
    precondition {
      condition     = length(base64gzip(each.value)) <= 8192
      error_message = "${each.key} is larger than a parameter can be: 8 KiB compressed."
    }
  }
}

resource "aws_cloudwatch_log_group" "host" {
  # checkov:skip=CKV_AWS_158:Encrypted with CloudWatch's own key. Logs hold no credential; addresses of sources are cut short.
  # checkov:skip=CKV_AWS_338:How long logs are kept is `log_retention_days`.
  name              = "/${var.name}/host"
  retention_in_days = var.log_retention_days
}

resource "aws_ssm_document" "release" {
  name            = "${var.name}-release"
  document_type   = "Command"
  document_format = "JSON"
  target_type     = "/AWS::EC2::Instance"

  content = jsonencode({
    schemaVersion = "2.2"
    description   = "Bring in the release that Parameter Store holds, then roll every session onto it, without a gap"
    mainSteps = [{
      action = "aws:runShellScript"
      name   = "release"
      inputs = {
        runCommand     = ["/usr/local/sbin/hls-failover apply", "/usr/local/sbin/hls-failover roll"]
        timeoutSeconds = "3600"
      }
    }]
  })
}
