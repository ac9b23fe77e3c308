mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name                   = "tv"
  vpc_id                 = "vpc-1"
  subnet_ids             = ["subnet-1", "subnet-2"]
  host_security_group_id = "sg-host"
  domain                 = "tv.example.com"
  certificate_arn        = "arn:aws:acm:eu-west-1:123456789012:certificate/1"
}

run "by_default" {
  # TLS ends here.
  assert {
    condition     = aws_lb_listener.https.protocol == "HTTPS" && strcontains(aws_lb_listener.https.ssl_policy, "TLS13-1-2")
    error_message = "TLS 1.2 at least"
  }

  assert {
    condition     = one(one(aws_lb_listener.http.default_action).redirect).protocol == "HTTPS" && one(one(aws_lb_listener.http.default_action).redirect).status_code == "HTTP_301"
    error_message = "HTTP is redirected"
  }

  assert {
    condition     = aws_lb.this.drop_invalid_header_fields && aws_lb.this.enable_deletion_protection
    error_message = "Odd headers are dropped; nobody deletes it by mistake"
  }

  assert {
    condition     = output.settings == { FAILOVER_PUBLIC_URL = "https://tv.example.com" }
    error_message = "The API's address as clients reach it"
  }

  # Event streams say something every 10 s (api/routes/session_events.py); the API keeps a silent connection for 75 s (api/serve.py).
  assert {
    condition     = aws_lb.this.idle_timeout > 2 * 10 && aws_lb.this.idle_timeout < 75
    error_message = "Between the stream's keep-alive and the API's own limit"
  }
}

run "clients_in_hosts_out" {
  variables {
    client_cidrs = ["203.0.113.0/24"]
  }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.clients : "${rule.cidr_ipv4} ${rule.from_port}"]) == toset(["203.0.113.0/24 443", "203.0.113.0/24 80"])
    error_message = "From clients, to two ports"
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.hosts.referenced_security_group_id == "sg-host" && aws_vpc_security_group_egress_rule.hosts.to_port == 8080
    error_message = "To hosts, to one port"
  }
}

run "with_everything" {
  variables {
    zone    = { id = "Z2" }
    logs    = { bucket = "logs" }
    web_acl = { arn = "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/tv/1" }
  }

  assert {
    condition     = one(aws_route53_record.this).name == "tv.example.com" && one(aws_wafv2_web_acl_association.this).resource_arn == aws_lb.this.arn
    error_message = "A record, a firewall"
  }

  assert {
    condition     = one(aws_lb.this.access_logs).bucket == "logs" && one(aws_lb.this.access_logs).enabled && one(aws_lb.this.access_logs).prefix == "alb"
    error_message = "Access logs, where modules/logs admits them"
  }
}

run "refuses_what_cannot_be" {
  command = plan

  variables {
    name            = "tv--1"
    subnet_ids      = ["subnet-1"]
    domain          = "https://tv.example.com"
    certificate_arn = "certificate"
    client_cidrs    = []
    api_port        = 0
    idle_timeout_s  = 75
  }

  expect_failures = [var.name, var.subnet_ids, var.domain, var.certificate_arn, var.client_cidrs, var.api_port, var.idle_timeout_s]
}
