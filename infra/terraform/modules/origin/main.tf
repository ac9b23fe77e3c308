# The CDN's origin: a private bucket that nobody reads but CloudFront, and nobody writes to but holders of signed addresses.
#
# The bucket's rules are this module's. The key that the orchestrator gets may not change them, and does not need to.

data "aws_region" "current" {}

locals {
  region   = data.aws_region.current.region
  readable = [for prefix in ["playlists", "segments"] : "${aws_s3_bucket.media.arn}/${prefix}/*"]
}

# --- the bucket -------------------------------------------------------------------------------------------------------

resource "aws_s3_bucket" "media" {
  # checkov:skip=CKV_AWS_18:Every segment would write a line, and be paid for twice. CloudFront's log says who watched, an attempt's own log who wrote.
  # checkov:skip=CKV_AWS_21:A playlist is written every two seconds and a segment is deleted a minute after it is out of the window: versions would keep them all.
  # checkov:skip=CKV_AWS_144:Live media are worth nothing a minute later, in another region too.
  # checkov:skip=CKV_AWS_145:With a KMS key every write and read of a segment would be a call to KMS, paid for and limited. S3's own keys encrypt as well.
  # checkov:skip=CKV2_AWS_62:The orchestrator lists playlists every second; a notification would be no sooner.
  bucket_prefix = "${var.name}-media-"
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_public_access_block" "media" {
  bucket                  = aws_s3_bucket.media.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "media" {
  bucket = aws_s3_bucket.media.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "media" {
  bucket = aws_s3_bucket.media.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

# Answers preflights, which CloudFront hands on; every other answer gets its CORS headers from the response headers policy.
resource "aws_s3_bucket_cors_configuration" "media" {
  bucket = aws_s3_bucket.media.id

  cors_rule {
    allowed_methods = ["GET", "HEAD"]
    allowed_origins = var.cors_allowed_origins
    allowed_headers = ["*"]
    expose_headers  = ["ETag"]
    max_age_seconds = 86400
  }
}

# The orchestrator deletes what it no longer needs; this takes what it could not. Playlists never expire: the multivariant
# playlist of a session may be as old as the session, which may run for weeks.
resource "aws_s3_bucket_lifecycle_configuration" "media" {
  bucket = aws_s3_bucket.media.id

  rule {
    id     = "segments"
    status = "Enabled"

    filter {
      prefix = "segments/"
    }

    expiration {
      days = var.segments_expire_days
    }
  }

  rule {
    id     = "logs"
    status = "Enabled"

    filter {
      prefix = "logs/"
    }

    expiration {
      days = var.logs_expire_days
    }
  }

  # Orders hold addresses of sources, and go with their container. A report is deleted when it has been read.
  rule {
    id     = "orders"
    status = "Enabled"

    filter {
      prefix = "orders/"
    }

    expiration {
      days = 1
    }
  }

  rule {
    id     = "inbox"
    status = "Enabled"

    filter {
      prefix = "inbox/"
    }

    expiration {
      days = 1
    }
  }

  rule {
    id     = "uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_policy" "media" {
  bucket = aws_s3_bucket.media.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "EncryptedTransportOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.media.arn, "${aws_s3_bucket.media.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      # No s3:ListBucket: it would turn 403 into 404 for what is not there, and the address "/" into a list of every session.
      {
        Sid       = "CloudFrontReads"
        Effect    = "Allow"
        Principal = { Service = "cloudfront.amazonaws.com" }
        Action    = "s3:GetObject"
        Resource  = local.readable
        Condition = { StringEquals = { "AWS:SourceArn" = aws_cloudfront_distribution.media.arn } }
      },
    ]
  })

  depends_on = [aws_s3_bucket_public_access_block.media]
}

# What the alarms count; without it S3 says nothing about single requests.
resource "aws_s3_bucket_metric" "media" {
  count = var.request_metrics ? 1 : 0

  bucket = aws_s3_bucket.media.id
  name   = "all"
}
