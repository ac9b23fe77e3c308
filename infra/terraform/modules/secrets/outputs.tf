output "secret_arns" {
  description = "Setting → ARN of the secret that holds its value"
  value       = { for name, version in aws_secretsmanager_secret_version.this : name => version.arn }
}
