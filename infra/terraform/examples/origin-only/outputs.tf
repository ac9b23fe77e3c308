output "settings" {
  description = "Settings of hls-failover that are no secret"
  value       = module.origin.settings
}

output "secrets" {
  description = "Settings of hls-failover that are secret"
  sensitive   = true
  value       = module.origin.secrets
}

output "dotenv" {
  description = "Both, as lines of an .env file"
  sensitive   = true
  value       = join("", [for name, value in merge(module.origin.settings, module.origin.secrets) : "${name}=${value}\n"])
}
