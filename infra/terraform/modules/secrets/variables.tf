variable "name" {
  description = "Prefix of every name"
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,24}$", var.name))
    error_message = "Must be 2 to 25 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "versions" {
  description = "Setting → version. A setting's value is written when its version changes, and only then"
  type        = map(number)

  validation {
    condition     = alltrue([for name in keys(var.versions) : can(regex("^FAILOVER_[A-Z0-9_]+$", name))])
    error_message = "Must be settings of hls-failover: FAILOVER_..."
  }
  validation {
    condition     = alltrue([for version in values(var.versions) : version >= 1 && floor(version) == version])
    error_message = "Must be whole numbers, at least 1."
  }
}

variable "values" {
  description = "Setting → value, for each setting in `versions`. Ephemeral: neither plan nor state keep it"
  type        = map(string)
  ephemeral   = true
  sensitive   = true
}

variable "kms_key_arn" {
  description = "Key that encrypts the secrets; null: the account's own for Secrets Manager"
  type        = string
  default     = null
}

variable "recovery_window_days" {
  description = "Days in which a deleted secret can be had back, 7 to 30; 0: none, and the name is free at once"
  type        = number
  default     = 7

  validation {
    condition     = var.recovery_window_days == 0 || (var.recovery_window_days >= 7 && var.recovery_window_days <= 30)
    error_message = "Must be 0, or 7 to 30 days."
  }
}
