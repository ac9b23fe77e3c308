output "vpc_id" {
  description = "The VPC"
  value       = aws_vpc.this.id
}

output "cidr" {
  description = "The VPC's addresses"
  value       = aws_vpc.this.cidr_block
}

output "public_subnet_ids" {
  description = "Subnets with a route to the internet: the load balancer's"
  value       = aws_subnet.public[*].id
}

output "private_subnet_ids" {
  description = "Subnets that nothing outside reaches: hosts' and data stores'"
  value       = aws_subnet.private[*].id
}

output "s3_endpoint_id" {
  description = "The gateway endpoint through which hosts reach S3; the store's key can be bound to it"
  value       = aws_vpc_endpoint.s3.id
}

output "nat_addresses" {
  description = "Public addresses from which sources are read, for providers that admit listed addresses only; empty without NAT"
  value       = aws_eip.nat[*].public_ip
}
