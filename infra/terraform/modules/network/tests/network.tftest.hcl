mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name = "tv"
}

run "by_default" {
  # Subnets of each kind in each zone, without overlap.
  assert {
    condition     = [for subnet in concat(aws_subnet.public, aws_subnet.private) : subnet.cidr_block] == ["10.64.0.0/20", "10.64.16.0/20", "10.64.128.0/20", "10.64.144.0/20"]
    error_message = "Sixteenths of the VPC, public ones first, private ones from the middle"
  }

  assert {
    condition     = aws_subnet.private[*].availability_zone == ["eu-west-1a", "eu-west-1b"]
    error_message = "One in each zone"
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.public : subnet.map_public_ip_on_launch != true])
    error_message = "Nothing gets a public address without asking for it"
  }

  # One way out for all.
  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.private) == 2
    error_message = "One NAT gateway, a route to it from each private subnet"
  }

  # What goes to S3 takes the endpoint.
  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway" && aws_vpc_endpoint.s3.service_name == "com.amazonaws.eu-west-1.s3" && length(aws_vpc_endpoint.s3.route_table_ids) >= 1
    error_message = "A gateway endpoint in the route tables"
  }
}

run "a_way_out_of_each_zone" {
  variables {
    zones = 3
    nat   = "per_zone"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3 && length(aws_route.private) == 3
    error_message = "A NAT gateway in each zone"
  }
}

run "no_way_out" {
  variables {
    nat = "none"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_route.private) == 0 && length(output.nat_addresses) == 0
    error_message = "No NAT gateway"
  }
}

run "refuses_what_cannot_be" {
  command = plan

  variables {
    name                    = "1tv"
    cidr                    = "10.64.0.0/24"
    zones                   = 1
    nat                     = "two"
    flow_log_traffic        = "NONE"
    flow_log_retention_days = 31
  }

  expect_failures = [var.name, var.cidr, var.zones, var.nat, var.flow_log_traffic, var.flow_log_retention_days]
}
