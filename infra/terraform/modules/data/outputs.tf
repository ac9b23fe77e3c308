output "secret_arns" {
  description = "Setting → ARN of the secret that holds its value"
  value       = module.secrets.secret_arns
}

output "postgres_identifier" {
  description = "The database instance, as its metrics name it"
  value       = aws_db_instance.this.identifier
}

output "valkey_node_ids" {
  description = "Valkey's nodes, as their metrics name them"
  value       = [for index in range(var.multi_az ? 2 : 1) : format("%s-%03d", var.name, index + 1)]
}
