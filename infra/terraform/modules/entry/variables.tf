variable "name" {
  description = "Prefix of every name"
  type        = string

  validation {
    condition     = can(regex("^[a-z](-?[a-z0-9]){1,24}$", var.name))
    error_message = "Must be lower-case letters, digits and single hyphens, begin with a letter and not end with a hyphen."
  }
}

variable "vpc_id" {
  description = "The hosts' VPC"
  type        = string
}

variable "subnet_ids" {
  description = "Public subnets in two zones at least; private ones where `internal`"
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "Must be subnets in two zones at least."
  }
}

variable "host_security_group_id" {
  description = "The hosts' security group"
  type        = string
}

variable "api_port" {
  description = "The API's port on a host"
  type        = number
  default     = 8080

  validation {
    condition     = var.api_port >= 1 && var.api_port <= 65535
    error_message = "Must be a port, 1 to 65535."
  }
}

variable "domain" {
  description = "Name under which clients reach the API, such as `tv.example.com`"
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9-]+\\.)+[a-z]{2,}$", var.domain))
    error_message = "Must be a host name without https://."
  }
}

variable "certificate_arn" {
  description = "ACM certificate for `domain`, in this region"
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$", var.certificate_arn))
    error_message = "Must be the ARN of an ACM certificate."
  }
}

variable "zone" {
  description = "Route 53 zone that gets the record for `domain`; null: the record is yours"
  type        = object({ id = string })
  default     = null
}

variable "internal" {
  description = "Whether only the VPC, and what is connected to it, reaches the API"
  type        = bool
  default     = false
}

variable "client_cidrs" {
  description = "From where clients may come"
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.client_cidrs) > 0 && alltrue([for cidr in var.client_cidrs : can(cidrhost(cidr, 0))])
    error_message = "Must be networks such as 203.0.113.0/24."
  }
}

variable "idle_timeout_s" {
  description = "Seconds of silence after which a connection is closed. Event streams say something every 10 s, and the API itself closes after 75 s: the load balancer must be between them, or it would reuse connections that are just being closed"
  type        = number
  default     = 60

  validation {
    condition     = var.idle_timeout_s >= 20 && var.idle_timeout_s <= 70
    error_message = "Must be 20 to 70 s: longer than two keep-alives of an event stream, shorter than the API's own 75 s."
  }
}

variable "logs" {
  description = "Where access logs go: modules/logs; null: nowhere"
  type        = object({ bucket = string })
  default     = null
}

variable "deletion_protection" {
  description = "Whether the load balancer refuses to be deleted"
  type        = bool
  default     = true
}

variable "web_acl" {
  description = "A WAF web ACL (scope REGIONAL) before the API; null: none"
  type        = object({ arn = string })
  default     = null
}
