mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name     = "tv"
  versions = { FAILOVER_ADMIN_KEY = 3, FAILOVER_S3_SECRET_KEY = 1 }
  values   = { FAILOVER_ADMIN_KEY = "the-admin-key", FAILOVER_S3_SECRET_KEY = "the-secret-key" }
}

run "one_secret_per_setting_and_no_value_kept" {
  assert {
    condition     = { for name, secret in aws_secretsmanager_secret.this : name => secret.name } == { FAILOVER_ADMIN_KEY = "tv/FAILOVER_ADMIN_KEY", FAILOVER_S3_SECRET_KEY = "tv/FAILOVER_S3_SECRET_KEY" }
    error_message = "Each secret has its setting's name"
  }

  assert {
    condition     = { for name, version in aws_secretsmanager_secret_version.this : name => version.secret_string_wo_version } == { FAILOVER_ADMIN_KEY = 3, FAILOVER_S3_SECRET_KEY = 1 }
    error_message = "A value is written when its version changes"
  }

  assert {
    condition     = alltrue([for version in aws_secretsmanager_secret_version.this : version.secret_string_wo == null])
    error_message = "The state holds no value"
  }

  assert {
    condition     = keys(output.secret_arns) == ["FAILOVER_ADMIN_KEY", "FAILOVER_S3_SECRET_KEY"]
    error_message = "Setting → ARN"
  }
}

run "refuses_what_cannot_be" {
  command = plan

  variables {
    name                 = "-"
    versions             = { ADMIN_KEY = 0.5 }
    values               = { ADMIN_KEY = "" }
    recovery_window_days = 3
  }

  expect_failures = [var.name, var.versions, var.recovery_window_days]
}
