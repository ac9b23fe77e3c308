mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name = "tv"
}

run "by_default" {
  # Nobody reads but the one distribution.
  assert {
    condition = alltrue([
      for statement in jsondecode(aws_s3_bucket_policy.media.policy).Statement :
      statement.Principal == { Service = "cloudfront.amazonaws.com" } && statement.Action == "s3:GetObject" &&
      statement.Condition.StringEquals["AWS:SourceArn"] == aws_cloudfront_distribution.media.arn
      if statement.Effect == "Allow"
    ])
    error_message = "All that is allowed is CloudFront's s3:GetObject, for this distribution"
  }

  assert {
    condition = toset(flatten([
      for statement in jsondecode(aws_s3_bucket_policy.media.policy).Statement : statement.Resource if statement.Effect == "Allow"
    ])) == toset(["arn:aws:s3:::bucket/playlists/*", "arn:aws:s3:::bucket/segments/*"])
    error_message = "Playlists and segments are read, logs are not"
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.media.block_public_acls, aws_s3_bucket_public_access_block.media.block_public_policy,
      aws_s3_bucket_public_access_block.media.ignore_public_acls, aws_s3_bucket_public_access_block.media.restrict_public_buckets,
    ])
    error_message = "Nothing of the bucket is public"
  }

  assert {
    condition     = aws_cloudfront_origin_access_control.media.signing_behavior == "always" && one(aws_cloudfront_distribution.media.origin).origin_access_control_id == aws_cloudfront_origin_access_control.media.id
    error_message = "CloudFront signs every read"
  }

  # Objects are cached for as long as they say, within bounds.
  assert {
    condition     = aws_cloudfront_cache_policy.playlists.min_ttl == 0 && aws_cloudfront_cache_policy.playlists.max_ttl <= 2
    error_message = "No playlist is older than a segment"
  }

  assert {
    condition     = aws_cloudfront_cache_policy.segments.max_ttl == 31536000
    error_message = "A segment may stay for the year that its header says"
  }

  assert {
    condition = alltrue([
      for policy in [aws_cloudfront_cache_policy.playlists, aws_cloudfront_cache_policy.segments] : alltrue([
        for key in policy.parameters_in_cache_key_and_forwarded_to_origin :
        one(key.query_strings_config).query_string_behavior == "none" && one(key.cookies_config).cookie_behavior == "none" && one(key.headers_config).header_behavior == "none"
      ])
    ])
    error_message = "The address alone is the cache's key"
  }

  assert {
    condition     = { for each in aws_cloudfront_distribution.media.custom_error_response : each.error_code => each.error_caching_min_ttl } == { 403 = 1, 404 = 1, 500 = 0, 502 = 0, 503 = 0, 504 = 0 }
    error_message = "What is not there yet is asked for again a second later, a failure at once"
  }

  assert {
    condition     = [for each in aws_cloudfront_distribution.media.ordered_cache_behavior : each.path_pattern] == ["playlists/*", "segments/*"]
    error_message = "Playlists and segments have a behaviour each"
  }

  assert {
    condition     = alltrue([for each in aws_cloudfront_distribution.media.ordered_cache_behavior : each.viewer_protocol_policy == "redirect-to-https" && contains(each.allowed_methods, "OPTIONS")])
    error_message = "Over TLS, preflights included"
  }

  # What the orchestrator could not take away goes in the end, but no playlist.
  assert {
    condition = { for rule in aws_s3_bucket_lifecycle_configuration.media.rule : one(rule.filter).prefix => one(rule.expiration).days if length(rule.expiration) > 0 } == {
      "segments/" = 2, "logs/" = 7, "orders/" = 1, "inbox/" = 1
    }
    error_message = "Everything expires but playlists, because a session's multivariant playlist may be as old as the session"
  }

}

run "the_key_moves_media_and_does_nothing_else" {
  variables {
    writer_vpc_endpoint_ids = ["vpce-1"]
    writer_cidrs            = ["203.0.113.7/32"]
  }

  assert {
    condition = toset(flatten([for statement in jsondecode(aws_iam_user_policy.writer.policy).Statement : statement.Action])) == toset([
      "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket",
    ])
    error_message = "It may not change the bucket's rules"
  }

  assert {
    condition = toset(flatten([for statement in jsondecode(aws_iam_user_policy.writer.policy).Statement : statement.Resource])) == toset([
      "arn:aws:s3:::bucket", "arn:aws:s3:::bucket/playlists/*", "arn:aws:s3:::bucket/segments/*", "arn:aws:s3:::bucket/logs/*",
      "arn:aws:s3:::bucket/orders/*", "arn:aws:s3:::bucket/inbox/*", "arn:aws:s3:::bucket/prepared",
    ])
    error_message = "Its own bucket, its own prefixes"
  }

  assert {
    condition = toset([for statement in jsondecode(aws_iam_user_policy.writer.policy).Statement : jsonencode(statement.Condition)]) == toset([
      jsonencode({ StringEquals = { "aws:SourceVpce" = ["vpce-1"] } }),
      jsonencode({ IpAddress = { "aws:SourceIp" = ["203.0.113.7/32"] } }),
    ])
    error_message = "Every statement is bound to the endpoint or to the addresses"
  }
}

run "settings_are_what_the_services_need" {
  assert {
    condition = output.settings == {
      FAILOVER_S3_ENDPOINT = "https://s3.eu-west-1.amazonaws.com"
      FAILOVER_S3_REGION   = "eu-west-1"
      FAILOVER_S3_BUCKET   = "bucket"
      FAILOVER_ORIGIN_URL  = "https://d1.cloudfront.net"
    }
    error_message = "Settings"
  }

  assert {
    condition     = keys(output.secrets) == ["FAILOVER_S3_ACCESS_KEY", "FAILOVER_S3_SECRET_KEY"]
    error_message = "Secrets"
  }
}

run "a_rotation_keeps_two_keys" {
  variables {
    key_generation          = 2
    retiring_key_generation = 1
  }

  assert {
    condition     = keys(aws_iam_access_key.writer) == ["1", "2"]
    error_message = "What the old key has signed still holds"
  }
}

run "a_name_of_ones_own" {
  variables {
    aliases         = ["cdn.example.com"]
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    logs            = { bucket_arn = "arn:aws:s3:::logs" }
  }

  assert {
    condition     = output.settings.FAILOVER_ORIGIN_URL == "https://cdn.example.com"
    error_message = "Viewers get the name"
  }

  assert {
    condition     = one(aws_cloudfront_distribution.media.viewer_certificate).minimum_protocol_version == "TLSv1.2_2021"
    error_message = "TLS 1.2 at least"
  }

  assert {
    condition     = one(aws_cloudwatch_log_delivery_source.cdn).region == "us-east-1" && one(aws_cloudwatch_log_delivery.cdn).region == "us-east-1"
    error_message = "CloudFront's deliveries are us-east-1's"
  }
}

run "refuses_what_cannot_be" {
  command = plan

  variables {
    certificate_arn      = "arn:aws:acm:eu-west-1:123456789012:certificate/1"
    cors_allowed_origins = ["https://tv.example.com/"]
    price_class          = "PriceClass_300"
    segments_expire_days = 0
    logs_expire_days     = 0.5
    key_generation       = 0
    writer_cidrs         = ["203.0.113.300"]
  }

  expect_failures = [
    var.certificate_arn, var.cors_allowed_origins, var.price_class, var.segments_expire_days, var.logs_expire_days,
    var.key_generation, var.writer_cidrs,
  ]
}

run "refuses_a_name_without_a_certificate_and_a_key_that_retires_while_it_signs" {
  command = plan

  variables {
    aliases                 = ["cdn.example.com"]
    key_generation          = 2
    retiring_key_generation = 2
  }

  expect_failures = [var.aliases, var.retiring_key_generation]
}

run "refuses_an_address_for_a_name" {
  command = plan

  variables {
    aliases         = ["https://cdn.example.com"]
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
  }

  expect_failures = [var.aliases]
}
