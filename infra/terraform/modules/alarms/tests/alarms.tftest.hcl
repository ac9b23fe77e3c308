mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name   = "tv"
  emails = ["ops@example.com"]
}

run "everything_is_watched" {
  variables {
    host   = { autoscaling_group_name = "tv-host" }
    entry  = { load_balancer = "app/tv/1", target_group = "targetgroup/api/1" }
    data   = { postgres_identifier = "tv", valkey_node_ids = ["tv-001", "tv-002"] }
    origin = { bucket = "tv-media", distribution_id = "E1" }
  }

  assert {
    condition = toset(keys(aws_cloudwatch_metric_alarm.here)) == toset([
      "host-missing", "host-broken", "host-cpu", "api-unhealthy", "api-errors", "entry-errors", "database-cpu", "database-storage",
      "database-memory", "hints-cpu-tv-001", "hints-memory-tv-001", "hints-cpu-tv-002", "hints-memory-tv-002", "store-errors",
    ])
    error_message = "An alarm for each thing that can go wrong"
  }

  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.global) == ["cdn-errors"] && alltrue([for alarm in aws_cloudwatch_metric_alarm.global : alarm.region == "us-east-1"]) && one(aws_sns_topic.global).region == "us-east-1"
    error_message = "CloudFront's metrics and their topic are us-east-1's"
  }

  assert {
    condition     = alltrue([for alarm in merge(aws_cloudwatch_metric_alarm.here, aws_cloudwatch_metric_alarm.global) : length(alarm.alarm_actions) == 1 && length(alarm.alarm_description) > 30])
    error_message = "Each tells somebody, and says what to do"
  }

  assert {
    condition = alltrue([
      for name in ["host-missing", "api-unhealthy", "database-cpu"] : aws_cloudwatch_metric_alarm.here[name].treat_missing_data == "breaching"
    ])
    error_message = "Silence of what must speak is an alarm"
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.here : alltrue([for value in values(alarm.dimensions) : value != null])])
    error_message = "Each is about one thing"
  }

  assert {
    condition     = length(aws_sns_topic_subscription.here) == 1 && length(aws_sns_topic_subscription.global) == 1
    error_message = "One e-mail address hears of both"
  }
}

run "what_is_not_named_is_not_watched" {
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.here) == 0 && length(aws_cloudwatch_metric_alarm.global) == 0 && length(output.topic_arns) == 1
    error_message = "Nothing to watch, nobody to wake"
  }
}

run "refuses_what_cannot_be" {
  command = plan

  variables {
    name   = "T V"
    emails = ["ops"]
  }

  expect_failures = [var.name, var.emails]
}
