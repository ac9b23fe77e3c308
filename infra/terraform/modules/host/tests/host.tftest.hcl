mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name                            = "tv"
  vpc_id                          = "vpc-1"
  vpc_cidr                        = "10.64.0.0/16"
  subnet_ids                      = ["subnet-1", "subnet-2"]
  load_balancer_security_group_id = "sg-entry"
  target_group_arn                = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/api/1"
  images = {
    server     = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/hls-failover:1.0.0"
    transcoder = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/hls-failover-transcoder@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  }
  files    = { "compose.yaml" = "services: {}\n", "infra/edge/nginx.conf" = "events {}\n", "infra/edge/count-hits" = "#!/bin/sh\n" }
  settings = { FAILOVER_S3_BUCKET = "bucket" }
  secret_arns = {
    FAILOVER_DATABASE_URL  = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:tv/FAILOVER_DATABASE_URL-1"
    FAILOVER_REDIS_URL     = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:tv/FAILOVER_REDIS_URL-1"
    FAILOVER_S3_ACCESS_KEY = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:tv/FAILOVER_S3_ACCESS_KEY-1"
    FAILOVER_S3_SECRET_KEY = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:tv/FAILOVER_S3_SECRET_KEY-1"
    FAILOVER_ADMIN_KEY     = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:tv/FAILOVER_ADMIN_KEY-1"
  }
}

run "by_default" {
  # One host, and never two.
  assert {
    condition     = aws_autoscaling_group.host.min_size == 1 && aws_autoscaling_group.host.max_size == 1
    error_message = "One"
  }

  assert {
    condition     = one(aws_autoscaling_group.host.instance_maintenance_policy).max_healthy_percentage == 100 && one(aws_autoscaling_group.host.instance_maintenance_policy).min_healthy_percentage == 0
    error_message = "The old one goes before the new one comes"
  }

  assert {
    condition     = aws_autoscaling_group.host.health_check_type == "EC2" && length(aws_autoscaling_group.host.instance_refresh) == 0
    error_message = "Neither an API that does not answer nor a new launch template ends a picture"
  }

  # No way in but the load balancer's.
  assert {
    condition     = aws_vpc_security_group_ingress_rule.api.referenced_security_group_id == "sg-entry" && aws_vpc_security_group_ingress_rule.api.from_port == 8080 && aws_vpc_security_group_ingress_rule.api.to_port == 8080
    error_message = "The load balancer, to the API's port"
  }

  assert {
    condition     = aws_launch_template.host.key_name == null && one(aws_launch_template.host.network_interfaces).associate_public_ip_address == "false"
    error_message = "No SSH key, no public address"
  }

  assert {
    condition     = one(aws_launch_template.host.metadata_options).http_tokens == "required" && one(aws_launch_template.host.metadata_options).http_put_response_hop_limit == 1
    error_message = "Containers do not reach the metadata"
  }

  assert {
    condition     = one(one(aws_launch_template.host.block_device_mappings).ebs).encrypted == "true" && one(one(aws_launch_template.host.block_device_mappings).ebs).volume_type == "gp3"
    error_message = "The disk is encrypted"
  }

  # The role reads what is its own, and no object.
  assert {
    condition     = !strcontains(aws_iam_role_policy.host.policy, "s3:")
    error_message = "No right to the bucket"
  }

  assert {
    condition = one([
      for statement in jsondecode(aws_iam_role_policy.host.policy).Statement : toset(statement.Resource) if contains(statement.Action, "secretsmanager:GetSecretValue")
    ]) == toset(values(var.secret_arns))
    error_message = "Its own secrets"
  }

  assert {
    condition = toset([for statement in jsondecode(aws_iam_role_policy.host.policy).Statement : statement.Sid if contains(statement.Resource, "*")]) == toset([
      "SessionManager",
    ])
    error_message = "Everything but Session Manager's calls is bound to a resource"
  }

  assert {
    condition = one([
      for statement in jsondecode(aws_iam_role_policy.host.policy).Statement : one(statement.Resource) if contains(statement.Action, "ssm:GetParametersByPath")
    ]) == "arn:aws:ssm:eu-west-1:123456789012:parameter/tv/files"
    error_message = "Its own release"
  }

  # A host that starts knows where its release is, installs an engine, and holds no secret.
  assert {
    condition = toset(yamldecode(local.cloud_config).write_files[*].path) == toset([
      "/etc/docker/daemon.json", "/etc/hls-failover/host.env", "/etc/systemd/system/hls-failover-watch.service",
      "/etc/systemd/system/hls-failover-watch.timer", "/etc/systemd/system/hls-failover.service", "/root/.docker/config.json",
      "/usr/local/sbin/hls-failover",
    ]) && contains(yamldecode(local.cloud_config).packages, "docker")
    error_message = "Files of a new host"
  }

  assert {
    condition = one([for file in yamldecode(local.cloud_config).write_files : file.content if file.path == "/etc/hls-failover/host.env"]) == join("", [
      "COMPOSE_IMAGE=\"library/docker:28.5.1-cli\"\n", "NAME=\"tv\"\n", "REGION=\"eu-west-1\"\n", "RESOLVER=\"10.64.0.2\"\n",
      "ROOT=\"/opt/hls-failover\"\n", "SESSION_CIDR=\"100.64.0.0/20\"\n", "SOURCE_CIDRS=\"\"\n", "VPC_CIDR=\"10.64.0.0/16\"\n",
    ])
    error_message = "What the host's script is told"
  }

  assert {
    condition = jsondecode(one([for file in yamldecode(local.cloud_config).write_files : file.content if file.path == "/root/.docker/config.json"])) == {
      credHelpers = { "123456789012.dkr.ecr.eu-west-1.amazonaws.com" = "ecr-login" }
    }
    error_message = "ECR is asked with the host's role"
  }

  # The release is pinned and complete.
  assert {
    condition     = toset(keys(aws_ssm_parameter.file)) == toset([".env", "compose.aws.yaml", "compose.yaml", "images", "infra/edge/count-hits", "infra/edge/nginx.conf", "secrets"])
    error_message = "Every file is a parameter"
  }

  assert {
    condition     = output.settings.FAILOVER_DOCKER_NETWORK == "hls-sessions" && output.settings.FAILOVER_TRANSCODER_IMAGE == var.images.transcoder
    error_message = "Sessions run on the network that has a firewall, from the pinned image"
  }

  assert {
    condition     = alltrue([for parameter in aws_ssm_parameter.file : length(parameter.insecure_value) <= 8192])
    error_message = "A parameter holds 8 KiB"
  }
}

run "with_a_registry_and_a_key" {
  variables {
    ecr_repository_arns = ["arn:aws:ecr:eu-west-1:123456789012:repository/hls-failover"]
    secrets_key         = { arn = "arn:aws:kms:eu-west-1:123456789012:key/1" }
    public_address      = true
  }

  assert {
    condition = one([
      for statement in jsondecode(aws_iam_role_policy.host.policy).Statement : statement.Resource if contains(statement.Action, "ecr:BatchGetImage")
    ]) == ["arn:aws:ecr:eu-west-1:123456789012:repository/hls-failover"]
    error_message = "Its own images"
  }

  assert {
    condition     = strcontains(aws_iam_role_policy.host.policy, "kms:ViaService")
    error_message = "The key, through Secrets Manager alone"
  }

  assert {
    condition     = one(aws_launch_template.host.network_interfaces).associate_public_ip_address == "true"
    error_message = "An address, but no way in"
  }
}

run "refuses_what_cannot_be" {
  command = plan

  variables {
    name               = "awstv"
    vpc_cidr           = "10.64.0.0"
    subnet_ids         = []
    api_port           = 80
    session_cidr       = "100.64.0.0/24"
    source_cidrs       = ["camera"]
    instance_type      = "large"
    image_id           = "al2023"
    disk_gb            = 8
    images             = { server = "registry.example.com/hls-failover:latest", transcoder = "hls-failover-transcoder:1.0.0" }
    files              = { "/etc/passwd" = "" }
    settings           = { FAILOVER_ADMIN_KEY = "secret" }
    secret_arns        = {}
    log_retention_days = 2
  }

  expect_failures = [
    var.name, var.vpc_cidr, var.subnet_ids, var.api_port, var.session_cidr, var.source_cidrs, var.instance_type, var.image_id, var.disk_gb,
    var.images, var.files, var.settings, var.secret_arns, var.log_retention_days,
  ]
}

run "refuses_a_tag_that_is_no_version" {
  command = plan

  variables {
    images = { server = "registry.example.com/hls-failover:stable", transcoder = "registry.example.com/hls-failover-transcoder:1.0.0" }
  }

  expect_failures = [var.images]
}
