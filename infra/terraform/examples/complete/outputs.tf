output "settings" {
  description = "Settings of hls-failover that are no secret"
  value       = module.host.settings
}

output "secret_arns" {
  description = "Setting → ARN of the secret that holds its value, such as the admin key"
  value       = merge(module.data.secret_arns, module.secrets.secret_arns)
}

output "release_command" {
  description = "Brings a release that was applied to the running host"
  value       = module.host.release_command
}

output "log_group_name" {
  description = "The services' logs"
  value       = module.host.log_group_name
}

output "dns_name" {
  description = "What a DNS record for `domain` points to, where there is no `zone`"
  value       = module.entry.dns_name
}

output "nat_addresses" {
  description = "Public addresses from which sources are read; empty without NAT"
  value       = module.network.nat_addresses
}
