variable "name" {
  description = "Prefix of every name"
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,24}$", var.name)) && !can(regex("^(aws|ssm)", var.name))
    error_message = "Must be 2 to 25 lower-case letters, digits and hyphens, begin with a letter, and not with aws or ssm, which Parameter Store keeps for itself."
  }
}

# --- where ------------------------------------------------------------------------------------------------------------

variable "vpc_id" {
  description = "Where hosts live"
  type        = string
}

variable "vpc_cidr" {
  description = "The VPC's addresses: closed to sessions' containers, but for its resolver"
  type        = string

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 2))
    error_message = "Must be an IPv4 network, such as 10.64.0.0/16."
  }
}

variable "subnet_ids" {
  description = "Subnets of hosts: private ones with a way out, or public ones with `public_address`"
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 1
    error_message = "Must be one subnet at least; with one in each of two zones, the loss of a zone is survived."
  }
}

variable "public_address" {
  description = "Whether a host has a public address of its own, by which it reaches sources without a NAT gateway. Nothing comes in by it"
  type        = bool
  default     = false
}

variable "load_balancer_security_group_id" {
  description = "Who may reach the API"
  type        = string
}

variable "target_group_arn" {
  description = "What hosts register with"
  type        = string
}

variable "api_port" {
  description = "The API's port on a host"
  type        = number
  default     = 8080

  validation {
    condition     = var.api_port >= 1024 && var.api_port <= 65535
    error_message = "Must be a port, 1024 to 65535."
  }
}

variable "session_cidr" {
  description = "Addresses of sessions' containers on their host; they are seen by nobody else. Not a part of the VPC"
  type        = string
  default     = "100.64.0.0/20"

  validation {
    condition     = can(cidrhost(var.session_cidr, 0)) && try(tonumber(split("/", var.session_cidr)[1]) <= 22, false)
    error_message = "Must be an IPv4 network of /22 or larger: a bridge holds a thousand containers."
  }
}

variable "source_cidrs" {
  description = "Private networks that hold sources, and that sessions' containers may reach therefore. Public addresses need no mention"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.source_cidrs : can(cidrhost(cidr, 0))])
    error_message = "Must be networks such as 10.20.0.0/24."
  }
}

# --- what -------------------------------------------------------------------------------------------------------------

variable "instance_type" {
  description = "The host's size: 0.02 cores and 45 MB for each copied session, 1 core and 220 MB for each transcoded one, and a core and 1.5 GB for the rest"
  type        = string
  default     = "m7i.large"

  validation {
    condition     = can(regex("^[a-z0-9-]+\\.[a-z0-9]+$", var.instance_type))
    error_message = "Must be an EC2 instance type, such as m7i.large."
  }
}

variable "image_id" {
  description = "Amazon Linux 2023: an AMI's id, or a parameter that names the newest one whenever a host starts. arm64 instance types need its arm64"
  type        = string
  default     = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"

  validation {
    condition     = can(regex("^(ami-[0-9a-f]+|resolve:ssm:/.+)$", var.image_id))
    error_message = "Must be ami-... or resolve:ssm:/..."
  }
}

variable "disk_gb" {
  description = "The host's disk, GiB: the system and images. Sessions write nothing to it"
  type        = number
  default     = 30

  validation {
    condition     = var.disk_gb >= 20
    error_message = "Must be 20 GiB at least."
  }
}

variable "images" {
  description = "What runs, each pinned by digest or by a tag that says a version: `server` and `transcoder` of this project, `edge` (nginx), `engine` (the socket proxy) and `compose`, which starts them"
  type = object({
    server     = string
    transcoder = string
    edge       = optional(string, "nginxinc/nginx-unprivileged:1.28-bookworm")
    engine     = optional(string, "wollomatic/socket-proxy:1.12.2")
    compose    = optional(string, "library/docker:28.5.1-cli")
  })

  validation {
    condition = alltrue([
      for image in values(var.images) : can(regex("^[a-z0-9.-]+(:[0-9]+)?/[a-z0-9._/-]+(:[A-Za-z0-9._-]+)?(@sha256:[0-9a-f]{64})?$", image)) &&
      can(regex("@sha256:|:[^/:]*[0-9][^/:]*$", image))
    ])
    error_message = "Must be owner/name@sha256:... or owner/name:version, behind a registry where it is not the default one. A tag without a number, such as latest, is no version."
  }
}

variable "files" {
  description = "Files of the release, from its checkout, path → content: `compose.yaml`, `infra/edge/nginx.conf` and `infra/edge/count-hits`"
  type        = map(string)

  validation {
    condition     = alltrue([for path in ["compose.yaml", "infra/edge/nginx.conf", "infra/edge/count-hits"] : contains(keys(var.files), path)])
    error_message = "Must hold compose.yaml, infra/edge/nginx.conf and infra/edge/count-hits."
  }
  validation {
    condition     = alltrue([for path in keys(var.files) : can(regex("^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$", path))])
    error_message = "Must be relative paths."
  }
}

variable "settings" {
  description = "Settings of hls-failover that are no secret: `FAILOVER_...` → value. Images and network are the module's own"
  type        = map(string)

  validation {
    condition     = alltrue([for name in keys(var.settings) : can(regex("^FAILOVER_[A-Z0-9_]+$", name))])
    error_message = "Must be settings of hls-failover: FAILOVER_..."
  }
  validation {
    condition     = length(setintersection(keys(var.settings), ["FAILOVER_DATABASE_URL", "FAILOVER_REDIS_URL", "FAILOVER_S3_SECRET_KEY", "FAILOVER_ADMIN_KEY"])) == 0
    error_message = "Secrets belong into Secrets Manager: secret_arns."
  }
  validation {
    condition     = alltrue([for value in values(var.settings) : !can(regex("\\n", value))])
    error_message = "Values must be single lines."
  }
}

variable "secret_arns" {
  description = "Settings that are secret: `FAILOVER_...` → ARN of the secret that holds the value"
  type        = map(string)

  validation {
    condition = length(setsubtract(
      ["FAILOVER_DATABASE_URL", "FAILOVER_REDIS_URL", "FAILOVER_S3_ACCESS_KEY", "FAILOVER_S3_SECRET_KEY", "FAILOVER_ADMIN_KEY"],
      keys(var.secret_arns),
    )) == 0
    error_message = "Must hold FAILOVER_DATABASE_URL, FAILOVER_REDIS_URL, FAILOVER_S3_ACCESS_KEY, FAILOVER_S3_SECRET_KEY and FAILOVER_ADMIN_KEY."
  }
}

variable "ecr_repository_arns" {
  description = "Private ECR repositories that images come from"
  type        = list(string)
  default     = []
}

# --- keys and logs ----------------------------------------------------------------------------------------------------

variable "secrets_key" {
  description = "The KMS key that the secrets are encrypted with, where it is not the account's own"
  type        = object({ arn = string })
  default     = null
}

variable "kms_key_arn" {
  description = "Key that encrypts the disk; null: the account's own. A key of yours must admit the Auto Scaling service-linked role"
  type        = string
  default     = null
}

variable "log_retention_days" {
  description = "Days that the services' logs are kept, one of CloudWatch's steps"
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "Must be one of the retentions that CloudWatch Logs knows, such as 30, 90 or 365."
  }
}
