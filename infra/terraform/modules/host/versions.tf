terraform {
  required_version = ">= 1.11" # write-only arguments: secrets that never reach the state

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.25" # `region` on a resource
    }
  }
}
