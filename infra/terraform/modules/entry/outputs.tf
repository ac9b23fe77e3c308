output "settings" {
  description = "Settings of hls-failover that are no secret"
  value = {
    FAILOVER_PUBLIC_URL = "https://${var.domain}"
  }
}

output "security_group_id" {
  description = "The load balancer's security group: who may reach a host's API"
  value       = aws_security_group.entry.id
}

output "target_group_arn" {
  description = "What hosts register with; complete only once a listener leads to it"
  value       = aws_lb_target_group.api.arn
  depends_on  = [aws_lb_listener.https]
}

output "dns_name" {
  description = "What a DNS record for `domain` points to"
  value       = aws_lb.this.dns_name
}

output "load_balancer" {
  description = "The load balancer, as its metrics name it"
  value       = aws_lb.this.arn_suffix
}

output "target_group" {
  description = "The target group, as its metrics name it"
  value       = aws_lb_target_group.api.arn_suffix
}
