# The CDN's origin for a deployment whose engine runs elsewhere: compose on a machine of yours, with the store and the CDN on
# AWS. `terraform output -raw dotenv >> .env` gives it what it needs.

provider "aws" {
  region = var.region

  default_tags {
    tags = { project = var.name }
  }
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
  writer_cidrs            = var.host_cidrs
  key_generation          = var.key_generation
  retiring_key_generation = var.retiring_key_generation
}

module "alarms" {
  source = "../../modules/alarms"

  name   = var.name
  origin = module.origin
  emails = var.alarm_emails
}
