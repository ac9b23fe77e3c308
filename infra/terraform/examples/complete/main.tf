# All of it on AWS: a channel's playlists come from CloudFront, the API answers at `domain`, one host runs the engine.

provider "aws" {
  region = var.region

  default_tags {
    tags = { project = var.name }
  }
}

locals {
  # Hosts stand in public subnets, with an address and no way in, unless what sources send is worth a NAT gateway's price.
  public_hosts = var.nat == "none"
}

module "network" {
  source = "../../modules/network"

  name = var.name
  cidr = var.cidr
  nat  = var.nat
}

module "logs" {
  source = "../../modules/logs"

  name = var.name
}

module "origin" {
  source = "../../modules/origin"

  name                    = var.name
  logs                    = module.logs
  cors_allowed_origins    = var.cors_allowed_origins
  writer_vpc_endpoint_ids = [module.network.s3_endpoint_id]
  key_generation          = var.key_generation
  retiring_key_generation = var.retiring_key_generation
}

module "data" {
  source = "../../modules/data"

  name                     = var.name
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.private_subnet_ids
  client_security_group_id = module.host.security_group_id
  deletion_protection      = var.deletion_protection
  password_version         = var.password_version
}

ephemeral "random_password" "admin_key" {
  length  = 48
  special = false
}

module "secrets" {
  source = "../../modules/secrets"

  name   = var.name
  values = merge(module.origin.secrets, { FAILOVER_ADMIN_KEY = ephemeral.random_password.admin_key.result })
  versions = {
    FAILOVER_S3_ACCESS_KEY = var.key_generation
    FAILOVER_S3_SECRET_KEY = var.key_generation
    FAILOVER_ADMIN_KEY     = var.admin_key_version
  }
}

module "entry" {
  source = "../../modules/entry"

  name                   = var.name
  vpc_id                 = module.network.vpc_id
  subnet_ids             = module.network.public_subnet_ids
  host_security_group_id = module.host.security_group_id
  domain                 = var.domain
  certificate_arn        = var.certificate_arn
  zone                   = var.zone
  logs                   = module.logs
  deletion_protection    = var.deletion_protection
}

module "host" {
  source = "../../modules/host"

  name                            = var.name
  vpc_id                          = module.network.vpc_id
  vpc_cidr                        = var.cidr
  subnet_ids                      = local.public_hosts ? module.network.public_subnet_ids : module.network.private_subnet_ids
  public_address                  = local.public_hosts
  load_balancer_security_group_id = module.entry.security_group_id
  target_group_arn                = module.entry.target_group_arn

  instance_type       = var.instance_type
  images              = var.images
  ecr_repository_arns = var.ecr_repository_arns
  files               = { for name in ["compose.yaml", "infra/edge/nginx.conf", "infra/edge/count-hits"] : name => file("${path.module}/${var.checkout}/${name}") }
  settings            = merge(var.settings, module.origin.settings, module.entry.settings)
  secret_arns         = merge(module.data.secret_arns, module.secrets.secret_arns)
}

module "alarms" {
  source = "../../modules/alarms"

  name   = var.name
  emails = var.alarm_emails
  host   = module.host
  entry  = module.entry
  data   = module.data
  origin = module.origin
}
