# The API's door: TLS ends here. Media do not come this way, so it is a small one; what does is session requests, events that
# stay open for hours, and players that read their playlist through /watch.

resource "aws_security_group" "entry" {
  name_prefix = "${var.name}-entry-"
  description = "The load balancer: clients in, hosts out"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-entry" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  # checkov:skip=CKV_AWS_260:Port 80 answers with a redirect to HTTPS and nothing else.
  for_each = { for pair in setproduct(var.client_cidrs, [443, 80]) : "${pair[0]}:${pair[1]}" => { cidr = pair[0], port = pair[1] } }

  security_group_id = aws_security_group.entry.id
  description       = each.value.port == 443 ? "HTTPS" : "HTTP, redirected"
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "hosts" {
  security_group_id            = aws_security_group.entry.id
  description                  = "The API"
  referenced_security_group_id = var.host_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = var.api_port
  to_port                      = var.api_port
}

resource "aws_lb" "this" {
  # checkov:skip=CKV_AWS_150:On unless `deletion_protection` says otherwise.
  # checkov:skip=CKV_AWS_91:On wherever `logs` is given.
  # checkov:skip=CKV2_AWS_76:The same; there is no Java behind it.
  # checkov:skip=CKV2_AWS_28:A firewall is the deployment's to choose: `web_acl`.
  name               = var.name
  load_balancer_type = "application"
  internal           = var.internal
  subnets            = var.subnet_ids
  security_groups    = [aws_security_group.entry.id]

  idle_timeout               = var.idle_timeout_s
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection

  dynamic "access_logs" {
    for_each = var.logs == null ? [] : [var.logs.bucket]

    content {
      enabled = true
      bucket  = access_logs.value
      prefix  = "alb"
    }
  }
}

resource "aws_lb_target_group" "api" {
  # checkov:skip=CKV_AWS_378:TLS ends at the load balancer; from there to the host's one open port it is the VPC's own network.
  name_prefix = "api-"
  vpc_id      = var.vpc_id
  port        = var.api_port
  protocol    = "HTTP"

  deregistration_delay = 30

  health_check {
    path                = "/readyz"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
  certificate_arn   = var.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.api.arn
  }
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "redirect"

    redirect {
      port        = "443"
      protocol    = "HTTPS"
      status_code = "HTTP_301"
    }
  }
}

# The metrics are for whoever asks the host itself.
resource "aws_lb_listener_rule" "metrics" {
  listener_arn = aws_lb_listener.https.arn
  priority     = 1

  condition {
    path_pattern {
      values = ["/metrics"]
    }
  }

  action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      status_code  = "404"
    }
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  count = var.web_acl == null ? 0 : 1

  resource_arn = aws_lb.this.arn
  web_acl_arn  = var.web_acl.arn
}

resource "aws_route53_record" "this" {
  count = var.zone == null ? 0 : 1

  zone_id = var.zone.id
  name    = var.domain
  type    = "A"

  alias {
    name                   = aws_lb.this.dns_name
    zone_id                = aws_lb.this.zone_id
    evaluate_target_health = false
  }
}
