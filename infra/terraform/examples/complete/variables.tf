variable "region" {
  description = "Where everything is: near the sources"
  type        = string
}

variable "name" {
  description = "Prefix of every name; two deployments in one account need two"
  type        = string
  default     = "hls-failover"
}

variable "domain" {
  description = "Name under which clients reach the API, such as `tv.example.com`"
  type        = string
}

variable "certificate_arn" {
  description = "ACM certificate for `domain`, in `region`"
  type        = string
}

variable "zone" {
  description = "Route 53 zone that gets the record for `domain`; null: the record is yours"
  type        = object({ id = string })
  default     = null
}

variable "images" {
  description = "What runs, each pinned by digest or version; `server` and `transcoder` are built from this project"
  type = object({
    server     = string
    transcoder = string
  })
}

variable "ecr_repository_arns" {
  description = "Private ECR repositories that images come from"
  type        = list(string)
  default     = []
}

variable "checkout" {
  description = "Path from this directory to the checkout of the release whose compose.yaml is run"
  type        = string
  default     = "../../../.."
}

variable "settings" {
  description = "Further settings of hls-failover, such as `FAILOVER_MAX_SESSIONS`"
  type        = map(string)
  default     = {}
}

variable "cidr" {
  description = "Addresses of the VPC"
  type        = string
  default     = "10.64.0.0/16"
}

variable "nat" {
  description = "`one` NAT gateway, one `per_zone`, or `none`: hosts have public addresses, and what sources send is not paid for by the gigabyte"
  type        = string
  default     = "one"
}

variable "instance_type" {
  description = "The host's size"
  type        = string
  default     = "m7i.large"
}

variable "cors_allowed_origins" {
  description = "Web pages whose players may read"
  type        = list(string)
  default     = ["*"]
}

variable "alarm_emails" {
  description = "Who is told of alarms"
  type        = list(string)
  default     = []
}

variable "deletion_protection" {
  description = "Whether database and load balancer refuse to be deleted"
  type        = bool
  default     = true
}

variable "key_generation" {
  description = "Which generation of the store's key signs"
  type        = number
  default     = 1
}

variable "retiring_key_generation" {
  description = "The generation whose signatures still hold"
  type        = number
  default     = null
}

variable "password_version" {
  description = "Count up for new passwords of PostgreSQL and Valkey"
  type        = number
  default     = 1
}

variable "admin_key_version" {
  description = "Count up for a new admin key"
  type        = number
  default     = 1
}
