variable "region" {
  description = "Where the bucket is: near the engine"
  type        = string
}

variable "name" {
  description = "Prefix of every name"
  type        = string
  default     = "hls-failover"
}

variable "host_cidrs" {
  description = "Public addresses of the machines that run the engine: the key is good from nowhere else. None: from anywhere"
  type        = list(string)
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
