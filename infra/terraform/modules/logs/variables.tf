variable "name" {
  description = "Prefix of the bucket's name"
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,24}$", var.name))
    error_message = "Must be 2 to 25 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "retention_days" {
  description = "Days after which access logs are deleted: they hold viewers' addresses"
  type        = number
  default     = 30

  validation {
    condition     = var.retention_days >= 1 && floor(var.retention_days) == var.retention_days
    error_message = "Must be a whole number of days, at least 1."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete a bucket that holds logs"
  type        = bool
  default     = false
}
