output "settings" {
  description = "Settings of hls-failover that are no secret"
  value = {
    FAILOVER_S3_ENDPOINT = "https://s3.${local.region}.amazonaws.com"
    FAILOVER_S3_REGION   = local.region
    FAILOVER_S3_BUCKET   = aws_s3_bucket.media.id
    FAILOVER_ORIGIN_URL  = "https://${try(var.aliases[0], aws_cloudfront_distribution.media.domain_name)}"
  }
}

output "secrets" {
  description = "Settings of hls-failover that are secret: the key that signs"
  sensitive   = true
  value = {
    FAILOVER_S3_ACCESS_KEY = aws_iam_access_key.writer[tostring(var.key_generation)].id
    FAILOVER_S3_SECRET_KEY = aws_iam_access_key.writer[tostring(var.key_generation)].secret
  }
}

output "bucket" {
  description = "The bucket's name"
  value       = aws_s3_bucket.media.id
}

output "distribution_id" {
  description = "The CDN's distribution"
  value       = aws_cloudfront_distribution.media.id
}

output "distribution_domain" {
  description = "What a DNS record for each of `aliases` points to"
  value       = aws_cloudfront_distribution.media.domain_name
}
