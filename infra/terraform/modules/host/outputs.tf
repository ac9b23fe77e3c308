output "security_group_id" {
  description = "The hosts: for what they may reach"
  value       = aws_security_group.host.id
}

output "autoscaling_group_name" {
  description = "The group that replaces hosts"
  value       = aws_autoscaling_group.host.name
}

output "log_group_name" {
  description = "The services' logs"
  value       = aws_cloudwatch_log_group.host.name
}

output "role_name" {
  description = "The hosts' role"
  value       = aws_iam_role.host.name
}

output "release_command" {
  description = "Brings the release that was applied to the running host, and rolls every session onto it, without a gap"
  value       = "aws ssm send-command --region ${local.region} --document-name ${aws_ssm_document.release.name} --targets Key=tag:aws:autoscaling:groupName,Values=${aws_autoscaling_group.host.name}"
}

output "settings" {
  description = "Settings of hls-failover that the host runs with, but for the secret ones"
  value       = local.settings
}
