variable "name" {
  description = "Prefix of every name"
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,24}$", var.name))
    error_message = "Must be 2 to 25 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

# --- viewers ----------------------------------------------------------------------------------------------------------

variable "aliases" {
  description = "Names under which viewers reach the CDN, such as `cdn.example.com`; none: CloudFront's own. The DNS records are yours"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for alias in var.aliases : can(regex("^(\\*\\.)?([a-z0-9-]+\\.)+[a-z]{2,}$", alias))])
    error_message = "Must be host names without https://."
  }
  validation {
    condition     = length(var.aliases) == 0 || var.certificate_arn != null
    error_message = "Names of one's own need a certificate: set certificate_arn."
  }
}

variable "certificate_arn" {
  description = "ACM certificate for `aliases`, in us-east-1, where CloudFront looks for it"
  type        = string
  default     = null

  validation {
    condition     = var.certificate_arn == null || can(regex("^arn:[a-z-]+:acm:us-east-1:[0-9]{12}:certificate/.+$", var.certificate_arn))
    error_message = "Must be the ARN of an ACM certificate in us-east-1."
  }
}

variable "cors_allowed_origins" {
  description = "Web pages whose players may read, such as `https://tv.example.com`"
  type        = list(string)
  default     = ["*"]

  validation {
    condition     = length(var.cors_allowed_origins) > 0 && alltrue([for origin in var.cors_allowed_origins : origin == "*" || can(regex("^https?://[^/]+$", origin))])
    error_message = "Must be \"*\" or origins such as https://tv.example.com, without a path."
  }
}

variable "price_class" {
  description = "Where CloudFront serves from: `PriceClass_100` (Europe and North America), `PriceClass_200`, `PriceClass_All`"
  type        = string
  default     = "PriceClass_100"

  validation {
    condition     = contains(["PriceClass_100", "PriceClass_200", "PriceClass_All"], var.price_class)
    error_message = "Must be PriceClass_100, PriceClass_200 or PriceClass_All."
  }
}

variable "origin_shield" {
  description = "One more cache, in the bucket's region, that every edge asks: fewer reads of the bucket where viewers are all over the world"
  type        = bool
  default     = false
}

variable "web_acl_arn" {
  description = "A WAF web ACL (scope CLOUDFRONT) before the CDN"
  type        = string
  default     = null
}

# --- the store --------------------------------------------------------------------------------------------------------

variable "segments_expire_days" {
  description = "Days after which S3 deletes segments that the orchestrator did not. More than `FAILOVER_ENDED_RETENTION_S`"
  type        = number
  default     = 2

  validation {
    condition     = var.segments_expire_days >= 1 && floor(var.segments_expire_days) == var.segments_expire_days
    error_message = "Must be a whole number of days, at least 1."
  }
}

variable "logs_expire_days" {
  description = "Days after which S3 deletes attempts' logs that the orchestrator did not"
  type        = number
  default     = 7

  validation {
    condition     = var.logs_expire_days >= 1 && floor(var.logs_expire_days) == var.logs_expire_days
    error_message = "Must be a whole number of days, at least 1."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete a bucket that holds media"
  type        = bool
  default     = false
}

variable "request_metrics" {
  description = "Whether S3 counts the bucket's requests and errors, which the alarms want"
  type        = bool
  default     = true
}

variable "logs" {
  description = "Where CloudFront's access log goes: modules/logs; null: nowhere"
  type        = object({ bucket_arn = string })
  default     = null
}

# --- the key ----------------------------------------------------------------------------------------------------------

variable "key_generation" {
  description = "Which generation of the writer's key signs. Count up to rotate, and name the old one in `retiring_key_generation`"
  type        = number
  default     = 1

  validation {
    condition     = var.key_generation >= 1 && floor(var.key_generation) == var.key_generation
    error_message = "Must be a whole number, at least 1."
  }
}

variable "retiring_key_generation" {
  description = "The generation that no longer signs, but whose signatures still hold; null: none"
  type        = number
  default     = null

  validation {
    condition     = var.retiring_key_generation == null || var.retiring_key_generation != var.key_generation
    error_message = "Must be another generation than the one that signs."
  }
}

variable "writer_vpc_endpoint_ids" {
  description = "VPC endpoints through which the key, and what it has signed, may be used"
  type        = list(string)
  default     = []
}

variable "writer_cidrs" {
  description = "Public addresses from which the key, and what it has signed, may be used. Neither endpoints nor addresses: from anywhere"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.writer_cidrs : can(cidrhost(cidr, 0))])
    error_message = "Must be networks such as 203.0.113.7/32."
  }
}
