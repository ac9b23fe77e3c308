# One private bucket for the access logs of everything else. Only AWS's own log deliveries of this account write to it.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  aws     = "arn:${data.aws_partition.current.partition}"
  region  = data.aws_region.current.region
}

resource "aws_s3_bucket" "logs" {
  # checkov:skip=CKV_AWS_18:This is where access logs go; a log of the log's own deliveries would never end.
  # checkov:skip=CKV_AWS_21:Logs are written once, by AWS, and expire; versions would only keep what is to be forgotten.
  # checkov:skip=CKV_AWS_144:Access logs are not worth a second region.
  # checkov:skip=CKV_AWS_145:Load balancers deliver to buckets with S3's own keys alone.
  # checkov:skip=CKV2_AWS_62:Nothing waits for a log.
  bucket_prefix = "${var.name}-logs-"
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_public_access_block" "logs" {
  bucket                  = aws_s3_bucket.logs.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "logs" {
  bucket = aws_s3_bucket.logs.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "logs" {
  bucket = aws_s3_bucket.logs.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "logs" {
  bucket = aws_s3_bucket.logs.id

  rule {
    id     = "expire"
    status = "Enabled"

    filter {}

    expiration {
      days = var.retention_days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_policy" "logs" {
  bucket = aws_s3_bucket.logs.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "EncryptedTransportOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.logs.arn, "${aws_s3_bucket.logs.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "LoadBalancers"
        Effect    = "Allow"
        Principal = { Service = "logdelivery.elasticloadbalancing.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${aws_s3_bucket.logs.arn}/alb/AWSLogs/${local.account}/*"
        Condition = {
          ArnLike = { "aws:SourceArn" = "${local.aws}:elasticloadbalancing:${local.region}:${local.account}:loadbalancer/*" }
        }
      },
      {
        Sid       = "CloudFront"
        Effect    = "Allow"
        Principal = { Service = "delivery.logs.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${aws_s3_bucket.logs.arn}/AWSLogs/${local.account}/CloudFront/*"
        Condition = {
          StringEquals = { "aws:SourceAccount" = local.account, "s3:x-amz-acl" = "bucket-owner-full-control" }
          ArnLike      = { "aws:SourceArn" = "${local.aws}:logs:us-east-1:${local.account}:delivery-source:*" }
        }
      },
    ]
  })

  depends_on = [aws_s3_bucket_public_access_block.logs]
}
