mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name = "tv"
}

run "only_deliveries_of_this_account_write" {
  assert {
    condition = alltrue([
      for statement in jsondecode(aws_s3_bucket_policy.logs.policy).Statement :
      statement.Effect == "Deny" || statement.Action == "s3:PutObject" && strcontains(jsonencode(statement.Condition), "123456789012")
    ])
    error_message = "Whatever is allowed must be s3:PutObject, bound to this account"
  }

  assert {
    condition = toset([for statement in jsondecode(aws_s3_bucket_policy.logs.policy).Statement : statement.Sid]) == toset([
      "EncryptedTransportOnly", "LoadBalancers", "CloudFront",
    ])
    error_message = "The load balancer's and CloudFront's deliveries, and nothing unencrypted"
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.logs.block_public_acls, aws_s3_bucket_public_access_block.logs.block_public_policy,
      aws_s3_bucket_public_access_block.logs.ignore_public_acls, aws_s3_bucket_public_access_block.logs.restrict_public_buckets,
    ])
    error_message = "Nothing of the bucket is public"
  }

  assert {
    condition     = one(one(aws_s3_bucket_lifecycle_configuration.logs.rule[*]).expiration).days == 30
    error_message = "Viewers' addresses are forgotten after 30 days"
  }
}

run "refuses_logs_that_never_or_always_expire" {
  command = plan

  variables {
    retention_days = 0
  }

  expect_failures = [var.retention_days]
}

run "refuses_a_name_that_no_bucket_can_have" {
  command = plan

  variables {
    name = "TV_1"
  }

  expect_failures = [var.name]
}
