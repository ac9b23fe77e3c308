variable "name" {
  description = "Prefix of every name"
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,24}$", var.name))
    error_message = "Must be 2 to 25 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "emails" {
  description = "Who is told; each address confirms once. Pagers subscribe to the topics"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for email in var.emails : can(regex("^[^@\\s]+@[^@\\s]+$", email))])
    error_message = "Must be e-mail addresses."
  }
}

# Objects, because whether something is watched must be known before it exists. Each takes the module itself: `host = module.host`.

variable "host" {
  description = "modules/host; null: not watched"
  type        = object({ autoscaling_group_name = string })
  default     = null
}

variable "entry" {
  description = "modules/entry; null: not watched"
  type        = object({ load_balancer = string, target_group = string })
  default     = null
}

variable "data" {
  description = "modules/data; null: not watched"
  type        = object({ postgres_identifier = string, valkey_node_ids = list(string) })
  default     = null
}

variable "origin" {
  description = "modules/origin, with `request_metrics`; null: not watched"
  type        = object({ bucket = string, distribution_id = string })
  default     = null
}
