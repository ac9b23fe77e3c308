# The CDN. What a cache may keep stands in the headers that objects are written with: a second for a playlist, a year for a
# segment. The policies here only set bounds, so that one bad header can do no harm for long.

locals {
  behaviours = {
    "playlists/*" = aws_cloudfront_cache_policy.playlists.id
    "segments/*"  = aws_cloudfront_cache_policy.segments.id
  }
}

resource "aws_cloudfront_origin_access_control" "media" {
  name                              = "${var.name}-media"
  description                       = "Reads of ${var.name}'s bucket"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

# The address alone is the key: no query string, cookie or header makes a second copy of the same bytes.
resource "aws_cloudfront_cache_policy" "playlists" {
  name        = "${var.name}-playlists"
  comment     = "A second at most: a playlist changes every segment"
  min_ttl     = 0
  default_ttl = 1
  max_ttl     = 2

  parameters_in_cache_key_and_forwarded_to_origin {
    enable_accept_encoding_brotli = true
    enable_accept_encoding_gzip   = true

    cookies_config {
      cookie_behavior = "none"
    }
    headers_config {
      header_behavior = "none"
    }
    query_strings_config {
      query_string_behavior = "none"
    }
  }
}

resource "aws_cloudfront_cache_policy" "segments" {
  name        = "${var.name}-segments"
  comment     = "For ever: a segment's key is written once and never reused"
  min_ttl     = 60
  default_ttl = 86400
  max_ttl     = 31536000

  parameters_in_cache_key_and_forwarded_to_origin {
    enable_accept_encoding_brotli = false
    enable_accept_encoding_gzip   = false

    cookies_config {
      cookie_behavior = "none"
    }
    headers_config {
      header_behavior = "none"
    }
    query_strings_config {
      query_string_behavior = "none"
    }
  }
}

# For preflights alone: S3 answers them only if it sees who asks for what. Not part of the cache's key.
resource "aws_cloudfront_origin_request_policy" "preflight" {
  name    = "${var.name}-preflight"
  comment = "What a CORS preflight says"

  cookies_config {
    cookie_behavior = "none"
  }
  headers_config {
    header_behavior = "whitelist"
    headers {
      items = ["Origin", "Access-Control-Request-Headers", "Access-Control-Request-Method"]
    }
  }
  query_strings_config {
    query_string_behavior = "none"
  }
}

resource "aws_cloudfront_response_headers_policy" "players" {
  name    = "${var.name}-players"
  comment = "Players in web pages may read"

  cors_config {
    access_control_allow_credentials = false
    access_control_max_age_sec       = 86400
    origin_override                  = true

    access_control_allow_headers {
      items = ["*"]
    }
    access_control_allow_methods {
      items = ["GET", "HEAD", "OPTIONS"]
    }
    access_control_allow_origins {
      items = var.cors_allowed_origins
    }
    access_control_expose_headers {
      items = ["Age", "Date", "ETag"]
    }
  }

  security_headers_config {
    content_type_options {
      override = true
    }
    strict_transport_security {
      access_control_max_age_sec = 31536000
      include_subdomains         = true
      preload                    = true
      override                   = true
    }
  }
}

resource "aws_cloudfront_distribution" "media" {
  # checkov:skip=CKV_AWS_68:A firewall before objects that are read-only and public by their unguessable address costs per request and has nothing to inspect; give one by `web_acl_arn`.
  # checkov:skip=CKV2_AWS_47:The same.
  # checkov:skip=CKV_AWS_86:Logged by standard logging v2 below, which needs no bucket with ACLs.
  # checkov:skip=CKV_AWS_305:There is no page at "/", and there must be none: it would be taken from the bucket.
  # checkov:skip=CKV_AWS_310:The bucket is the only origin. Live media that could not be written to it are nowhere else either.
  # checkov:skip=CKV_AWS_174:Without a name of one's own CloudFront's certificate is used, for which AWS alone sets the TLS version; with one it is TLS 1.2.
  # checkov:skip=CKV2_AWS_42:Without a name of one's own there is nothing to have a certificate for; `certificate_arn` is required with `aliases`.
  # checkov:skip=CKV_AWS_374:Where viewers may be is the deployment's business.
  enabled         = true
  comment         = "${var.name}: playlists and segments"
  aliases         = var.aliases
  price_class     = var.price_class
  http_version    = "http2and3"
  is_ipv6_enabled = true
  web_acl_id      = var.web_acl_arn

  origin {
    origin_id                = "media"
    domain_name              = aws_s3_bucket.media.bucket_regional_domain_name
    origin_access_control_id = aws_cloudfront_origin_access_control.media.id

    dynamic "origin_shield" {
      for_each = var.origin_shield ? [local.region] : []

      content {
        enabled              = true
        origin_shield_region = origin_shield.value
      }
    }
  }

  # Everything that is no media: the bucket's policy refuses it.
  default_cache_behavior {
    target_origin_id           = "media"
    viewer_protocol_policy     = "redirect-to-https"
    allowed_methods            = ["GET", "HEAD"]
    cached_methods             = ["GET", "HEAD"]
    cache_policy_id            = aws_cloudfront_cache_policy.playlists.id
    response_headers_policy_id = aws_cloudfront_response_headers_policy.players.id
  }

  dynamic "ordered_cache_behavior" {
    for_each = local.behaviours

    content {
      path_pattern               = ordered_cache_behavior.key
      target_origin_id           = "media"
      viewer_protocol_policy     = "redirect-to-https"
      allowed_methods            = ["GET", "HEAD", "OPTIONS"]
      cached_methods             = ["GET", "HEAD"]
      compress                   = ordered_cache_behavior.key == "playlists/*"
      cache_policy_id            = ordered_cache_behavior.value
      origin_request_policy_id   = aws_cloudfront_origin_request_policy.preflight.id
      response_headers_policy_id = aws_cloudfront_response_headers_policy.players.id
    }
  }

  # CloudFront keeps errors for ten seconds by itself: a player that asked a moment too early would be locked out for as long.
  dynamic "custom_error_response" {
    for_each = { 403 = 1, 404 = 1, 500 = 0, 502 = 0, 503 = 0, 504 = 0 }

    content {
      error_code            = tonumber(custom_error_response.key)
      error_caching_min_ttl = custom_error_response.value
    }
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = var.certificate_arn == null
    acm_certificate_arn            = var.certificate_arn
    ssl_support_method             = var.certificate_arn == null ? null : "sni-only"
    minimum_protocol_version       = var.certificate_arn == null ? null : "TLSv1.2_2021"
  }
}

# --- logs -------------------------------------------------------------------------------------------------------------
# CloudFront is global, its log deliveries are us-east-1's.

resource "aws_cloudwatch_log_delivery_source" "cdn" {
  count = var.logs == null ? 0 : 1

  region       = "us-east-1"
  name         = "${var.name}-cdn"
  log_type     = "ACCESS_LOGS"
  resource_arn = aws_cloudfront_distribution.media.arn
}

resource "aws_cloudwatch_log_delivery_destination" "cdn" {
  count = var.logs == null ? 0 : 1

  region        = "us-east-1"
  name          = "${var.name}-cdn"
  output_format = "json"

  delivery_destination_configuration {
    destination_resource_arn = var.logs.bucket_arn
  }
}

resource "aws_cloudwatch_log_delivery" "cdn" {
  count = var.logs == null ? 0 : 1

  region                   = "us-east-1"
  delivery_source_name     = aws_cloudwatch_log_delivery_source.cdn[0].name
  delivery_destination_arn = aws_cloudwatch_log_delivery_destination.cdn[0].arn

  s3_delivery_configuration = [{
    enable_hive_compatible_path = false
    suffix_path                 = "{DistributionId}/{yyyy}/{MM}/{dd}/{HH}"
  }]
}
