# What AWS would answer, as far as the modules look at it.

mock_data "aws_availability_zones" {
  defaults = { names = ["eu-west-1a", "eu-west-1b", "eu-west-1c"] }
}

mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws" }
}

mock_data "aws_region" {
  defaults = { region = "eu-west-1" }
}

mock_resource "aws_s3_bucket" {
  defaults = {
    id                          = "bucket"
    arn                         = "arn:aws:s3:::bucket"
    bucket_regional_domain_name = "bucket.s3.eu-west-1.amazonaws.com"
  }
}

mock_resource "aws_cloudfront_distribution" {
  defaults = {
    id          = "E1"
    arn         = "arn:aws:cloudfront::123456789012:distribution/E1"
    domain_name = "d1.cloudfront.net"
  }
}

mock_resource "aws_cloudwatch_log_delivery_destination" {
  defaults = { arn = "arn:aws:logs:us-east-1:123456789012:delivery-destination:cdn" }
}

mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:group" }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::123456789012:role/role" }
}

mock_resource "aws_iam_instance_profile" {
  defaults = { arn = "arn:aws:iam::123456789012:instance-profile/profile" }
}

mock_resource "aws_iam_access_key" {
  defaults = { id = "AKIAEXAMPLE", secret = "example" }
}

mock_resource "aws_lb" {
  defaults = {
    arn        = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/lb/1"
    arn_suffix = "app/lb/1"
    dns_name   = "lb.eu-west-1.elb.amazonaws.com"
    zone_id    = "Z1"
  }
}

mock_resource "aws_lb_target_group" {
  defaults = {
    arn        = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/api/1"
    arn_suffix = "targetgroup/api/1"
  }
}

mock_resource "aws_lb_listener" {
  defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/lb/1/1" }
}

mock_resource "aws_db_instance" {
  defaults = { address = "db.example.internal", port = 5432 }
}

mock_resource "aws_elasticache_replication_group" {
  defaults = { primary_endpoint_address = "valkey.example.internal" }
}

mock_resource "aws_secretsmanager_secret" {
  defaults = {
    id  = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:one"
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:one"
  }
}

mock_resource "aws_secretsmanager_secret_version" {
  defaults = { arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:one" }
}

mock_resource "aws_launch_template" {
  defaults = { id = "lt-1", latest_version = 1 }
}

mock_resource "aws_sns_topic" {
  defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:topic" }
}
