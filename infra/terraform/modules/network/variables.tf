variable "name" {
  description = "Prefix of every name"
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,24}$", var.name))
    error_message = "Must be 2 to 25 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "cidr" {
  description = "Addresses of the VPC, /16 to /20"
  type        = string
  default     = "10.64.0.0/16"

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 20, false)
    error_message = "Must be an IPv4 network of /16 to /20, such as 10.64.0.0/16."
  }
}

variable "zones" {
  description = "Number of availability zones: a subnet of each kind in each"
  type        = number
  default     = 2

  validation {
    condition     = contains([2, 3], var.zones)
    error_message = "Must be 2 or 3: load balancers and databases want two zones at least."
  }
}

variable "nat" {
  description = "Private subnets' way out: `one` NAT gateway, one `per_zone`, or `none` (hosts stand in public subnets, or an own route is added). Everything that comes from a source is paid for by the gigabyte on its way through a NAT gateway"
  type        = string
  default     = "one"

  validation {
    condition     = contains(["none", "one", "per_zone"], var.nat)
    error_message = "Must be none, one or per_zone."
  }
}

variable "flow_log_traffic" {
  description = "Which traffic flow logs tell of: `REJECT`, `ACCEPT` or `ALL` (every source and every segment, at the price of logs)"
  type        = string
  default     = "REJECT"

  validation {
    condition     = contains(["REJECT", "ACCEPT", "ALL"], var.flow_log_traffic)
    error_message = "Must be REJECT, ACCEPT or ALL."
  }
}

variable "flow_log_retention_days" {
  description = "Days that flow logs are kept, one of CloudWatch's steps"
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.flow_log_retention_days)
    error_message = "Must be one of the retentions that CloudWatch Logs knows, such as 30, 90 or 365."
  }
}
