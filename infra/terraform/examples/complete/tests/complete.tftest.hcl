mock_provider "aws" {
  source = "../../mocks"
}

variables {
  region          = "eu-west-1"
  name            = "tv"
  domain          = "tv.example.com"
  certificate_arn = "arn:aws:acm:eu-west-1:123456789012:certificate/1"
  checkout        = "tests/release"
  settings        = { FAILOVER_MAX_SESSIONS = "80" }
  images = {
    server     = "registry.example.com/hls-failover:1.0.0"
    transcoder = "registry.example.com/hls-failover-transcoder:1.0.0"
  }
}

# On the first plan nothing is known yet: what is still to be made must not decide how many things are made.
run "every_setting_that_a_host_needs" {
  command = plan

  assert {
    condition     = output.settings.FAILOVER_PUBLIC_URL == "https://tv.example.com" && output.settings.FAILOVER_MAX_SESSIONS == "80"
    error_message = "Settings of the caller's and of the modules"
  }

  assert {
    condition = toset(keys(merge(output.settings, output.secret_arns))) == toset([
      "FAILOVER_ADMIN_KEY", "FAILOVER_DATABASE_URL", "FAILOVER_DOCKER_NETWORK", "FAILOVER_MAX_SESSIONS", "FAILOVER_ORIGIN_URL",
      "FAILOVER_PUBLIC_URL", "FAILOVER_REDIS_URL", "FAILOVER_S3_ACCESS_KEY", "FAILOVER_S3_BUCKET", "FAILOVER_S3_ENDPOINT",
      "FAILOVER_S3_REGION", "FAILOVER_S3_SECRET_KEY", "FAILOVER_TRANSCODER_IMAGE",
    ])
    error_message = "Settings and secrets"
  }

  assert {
    condition     = length(setintersection(keys(output.settings), keys(output.secret_arns))) == 0
    error_message = "A setting is a secret or it is none"
  }

  assert {
    condition     = length(output.nat_addresses) == 1
    error_message = "One NAT gateway, unless told otherwise"
  }
}

