# One Docker engine and what runs on it: the API, the orchestrator, and a container per session. It keeps nothing: what it
# needs stands in Parameter Store and Secrets Manager, what it knows in PostgreSQL, what it makes in S3. So it can be thrown
# away at any moment, and the next one goes on with the same playlists.
#
# What goes in and out is no more than a cluster of engines would need; README.md names it.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  aws     = "arn:${data.aws_partition.current.partition}"
  region  = data.aws_region.current.region

  group_arn = "${local.aws}:autoscaling:${local.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${var.name}-host"
}

# --- who reaches it ---------------------------------------------------------------------------------------------------

resource "aws_security_group" "host" {
  name_prefix = "${var.name}-host-"
  description = "Hosts: the load balancer in, anything out"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-host" }

  lifecycle {
    create_before_destroy = true
  }
}

# The only way in. There is no SSH: operators come by Session Manager, which the host itself calls.
resource "aws_vpc_security_group_ingress_rule" "api" {
  security_group_id            = aws_security_group.host.id
  description                  = "The API, from the load balancer"
  referenced_security_group_id = var.load_balancer_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = var.api_port
  to_port                      = var.api_port
}

resource "aws_vpc_security_group_egress_rule" "anywhere" {
  # checkov:skip=CKV_AWS_382:Sources are anywhere, on any port. What sessions' containers may reach is said by the host's firewall.
  security_group_id = aws_security_group.host.id
  description       = "Sources, S3, registries"
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

# --- the machine ------------------------------------------------------------------------------------------------------

resource "aws_launch_template" "host" {
  # checkov:skip=CKV_AWS_88:A public address only where `public_address` says so, to spare the NAT gateway; nothing may come in by it.
  name                   = "${var.name}-host"
  image_id               = var.image_id
  instance_type          = var.instance_type
  update_default_version = true

  user_data = base64gzip(local.cloud_config)

  iam_instance_profile {
    arn = aws_iam_instance_profile.host.arn
  }

  network_interfaces {
    security_groups             = [aws_security_group.host.id]
    associate_public_ip_address = var.public_address
    delete_on_termination       = true
  }

  # A token is asked for first, and its answer dies after one hop: the host has its role, no container does.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = var.disk_gb
      encrypted             = true
      kms_key_id            = var.kms_key_arn
      delete_on_termination = true
    }
  }

  monitoring {
    enabled = true
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume"]

    content {
      resource_type = tag_specifications.value
      tags          = { Name = "${var.name}-host" }
    }
  }

  lifecycle {
    precondition {
      condition     = length(base64gzip(local.cloud_config)) <= 16384 * 4 / 3
      error_message = "The host's user data is larger than EC2's limit of 16 KiB."
    }
  }
}

# One, and never two: two orchestrators on one database would start two containers for a session. So the old host goes before
# the new one comes, and a new launch template waits for the next replacement; releases do not need one.
resource "aws_autoscaling_group" "host" {
  # checkov:skip=CKV_AWS_153:Tags are given by the launch template and here.
  name                = "${var.name}-host"
  min_size            = 1
  max_size            = 1
  desired_capacity    = 1
  vpc_zone_identifier = var.subnet_ids
  target_group_arns   = [var.target_group_arn]

  # EC2's own checks and the host's watch on its engine. Not the load balancer's: an API that does not answer must not end
  # every picture on the machine.
  health_check_type         = "EC2"
  health_check_grace_period = 300
  default_instance_warmup   = 120

  enabled_metrics = ["GroupInServiceInstances", "GroupDesiredCapacity"]

  launch_template {
    id      = aws_launch_template.host.id
    version = aws_launch_template.host.latest_version
  }

  instance_maintenance_policy {
    min_healthy_percentage = 0
    max_healthy_percentage = 100
  }

  tag {
    key                 = "Name"
    value               = "${var.name}-host"
    propagate_at_launch = true
  }

  # What a host reads at its start must be there.
  depends_on = [aws_ssm_parameter.file, aws_iam_role_policy.host]
}
