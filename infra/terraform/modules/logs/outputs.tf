output "bucket" {
  description = "The bucket's name; complete only once deliveries to it are allowed"
  value       = aws_s3_bucket.logs.id
  depends_on  = [aws_s3_bucket_policy.logs]
}

output "bucket_arn" {
  description = "The bucket's ARN"
  value       = aws_s3_bucket.logs.arn
  depends_on  = [aws_s3_bucket_policy.logs]
}
