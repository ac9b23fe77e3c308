variable "name" {
  description = "Prefix of every name"
  type        = string

  validation {
    condition     = can(regex("^[a-z](-?[a-z0-9]){1,24}$", var.name))
    error_message = "Must be lower-case letters, digits and single hyphens, begin with a letter and not end with a hyphen."
  }
}

variable "vpc_id" {
  description = "Where the data stores live"
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets in two zones at least"
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "Must be subnets in two zones at least."
  }
}

variable "client_security_group_id" {
  description = "Who may connect: the hosts' security group"
  type        = string
}

variable "multi_az" {
  description = "Whether each store has a second node in another zone that takes over"
  type        = bool
  default     = true
}

variable "postgres_version" {
  description = "PostgreSQL's version; with a major version alone AWS chooses the minor one"
  type        = string
  default     = "17"

  validation {
    condition     = can(regex("^1[5-9](\\.[0-9]+)?$", var.postgres_version))
    error_message = "Must be 15 or newer, such as 17 or 17.6."
  }
}

variable "postgres_class" {
  description = "PostgreSQL's instance class"
  type        = string
  default     = "db.t4g.medium"

  validation {
    condition     = startswith(var.postgres_class, "db.")
    error_message = "Must be an RDS instance class, such as db.t4g.medium."
  }
}

variable "postgres_storage_gb" {
  description = "Storage to begin with, GiB; it grows by itself up to five times as much"
  type        = number
  default     = 20

  validation {
    condition     = var.postgres_storage_gb >= 20
    error_message = "Must be 20 GiB at least, gp3's own limit."
  }
}

variable "backup_retention_days" {
  description = "Days back to any second of which the database can be restored"
  type        = number
  default     = 14

  validation {
    condition     = var.backup_retention_days >= 1 && var.backup_retention_days <= 35
    error_message = "Must be 1 to 35 days: rows are the truth, and are never without a backup."
  }
}

variable "deletion_protection" {
  description = "Whether the database refuses to be deleted, and leaves a last snapshot when it may be"
  type        = bool
  default     = true
}

variable "valkey_version" {
  description = "Valkey's version"
  type        = string
  default     = "8.0"

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+$", var.valkey_version))
    error_message = "Must be a version such as 8.0."
  }
}

variable "valkey_node_type" {
  description = "Valkey's node type"
  type        = string
  default     = "cache.t4g.micro"

  validation {
    condition     = startswith(var.valkey_node_type, "cache.")
    error_message = "Must be an ElastiCache node type, such as cache.t4g.micro."
  }
}

variable "password_version" {
  description = "Count up for new passwords of both stores"
  type        = number
  default     = 1

  validation {
    condition     = var.password_version >= 1 && floor(var.password_version) == var.password_version
    error_message = "Must be a whole number, at least 1."
  }
}

variable "ca_path" {
  description = "Where services find the certificates of RDS's authorities, to know that it is the database that they speak to"
  type        = string
  default     = "/etc/hls-failover/rds-ca.pem"

  validation {
    condition     = startswith(var.ca_path, "/")
    error_message = "Must be an absolute path."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts both stores; null: the account's own"
  type        = string
  default     = null
}
