# What wakes somebody. Each alarm is one line of a table: what is measured, beyond what, for how long, and what to do. What
# viewers see is first, what only costs time is last; everything finer is `failover doctor`'s and the console's.

locals {
  # Missing data: `breaching` where silence is itself the fault, `notBreaching` where nothing happens when all is well.
  host = {
    host-missing = {
      namespace  = "AWS/AutoScaling", metric = "GroupInServiceInstances", statistic = "Minimum"
      dimensions = { AutoScalingGroupName = try(var.host.autoscaling_group_name, null) }
      when       = "LessThanThreshold", threshold = 1, minutes = 5, missing = "breaching"
      text       = "No host in service: sessions stand still until the group has replaced it. See the group's activity."
    }
    host-broken = {
      namespace  = "AWS/EC2", metric = "StatusCheckFailed", statistic = "Maximum"
      dimensions = { AutoScalingGroupName = try(var.host.autoscaling_group_name, null) }
      when       = "GreaterThanThreshold", threshold = 0, minutes = 3, missing = "notBreaching"
      text       = "A host fails EC2's status checks; the group replaces it."
    }
    host-cpu = {
      namespace  = "AWS/EC2", metric = "CPUUtilization", statistic = "Average"
      dimensions = { AutoScalingGroupName = try(var.host.autoscaling_group_name, null) }
      when       = "GreaterThanThreshold", threshold = 85, minutes = 15, missing = "notBreaching"
      text       = "The host has no room left: fewer sessions (FAILOVER_NODE_CPUS), or a larger instance."
    }
  }
  api = {
    api-unhealthy = {
      namespace  = "AWS/ApplicationELB", metric = "HealthyHostCount", statistic = "Minimum"
      dimensions = { LoadBalancer = try(var.entry.load_balancer, null), TargetGroup = try(var.entry.target_group, null) }
      when       = "LessThanThreshold", threshold = 1, minutes = 3, missing = "breaching"
      text       = "No API is ready: no new sessions; running ones play on. See the log group's api streams."
    }
    api-errors = {
      namespace  = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", statistic = "Sum"
      dimensions = { LoadBalancer = try(var.entry.load_balancer, null) }
      when       = "GreaterThanThreshold", threshold = 20, minutes = 5, missing = "notBreaching"
      text       = "The API answers 5xx: limits reached (503 with a Retry-After), or a fault. See its log."
    }
    entry-errors = {
      namespace  = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", statistic = "Sum"
      dimensions = { LoadBalancer = try(var.entry.load_balancer, null) }
      when       = "GreaterThanThreshold", threshold = 20, minutes = 5, missing = "notBreaching"
      text       = "The load balancer finds no API that answers."
    }
  }
  database = {
    database-cpu = {
      namespace  = "AWS/RDS", metric = "CPUUtilization", statistic = "Average"
      dimensions = { DBInstanceIdentifier = try(var.data.postgres_identifier, null) }
      when       = "GreaterThanThreshold", threshold = 80, minutes = 15, missing = "breaching"
      text       = "PostgreSQL is busy, or says nothing. Performance Insights shows with what."
    }
    database-storage = {
      namespace  = "AWS/RDS", metric = "FreeStorageSpace", statistic = "Minimum"
      dimensions = { DBInstanceIdentifier = try(var.data.postgres_identifier, null) }
      when       = "LessThanThreshold", threshold = 4 * pow(1024, 3), minutes = 5, missing = "notBreaching"
      text       = "Less than 4 GiB left, although storage grows by itself: it has reached its limit, or grew within six hours."
    }
    database-memory = {
      namespace  = "AWS/RDS", metric = "FreeableMemory", statistic = "Minimum"
      dimensions = { DBInstanceIdentifier = try(var.data.postgres_identifier, null) }
      when       = "LessThanThreshold", threshold = 256 * pow(1024, 2), minutes = 15, missing = "notBreaching"
      text       = "PostgreSQL has less than 256 MiB of memory left: a larger class."
    }
  }
  hints = merge([
    for node in try(var.data.valkey_node_ids, []) : {
      "hints-cpu-${node}" = {
        namespace  = "AWS/ElastiCache", metric = "EngineCPUUtilization", statistic = "Average"
        dimensions = { CacheClusterId = node }
        when       = "GreaterThanThreshold", threshold = 80, minutes = 15, missing = "breaching"
        text       = "Valkey is busy, or says nothing. Everything works without it, only slower."
      }
      "hints-memory-${node}" = {
        namespace  = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage", statistic = "Maximum"
        dimensions = { CacheClusterId = node }
        when       = "GreaterThanThreshold", threshold = 80, minutes = 15, missing = "notBreaching"
        text       = "Valkey fills up, although nothing is kept there: somebody does not read what it asked for."
      }
    }
  ]...)
  store = {
    store-errors = {
      namespace  = "AWS/S3", metric = "5xxErrors", statistic = "Sum"
      dimensions = { BucketName = try(var.origin.bucket, null), FilterId = "all" }
      when       = "GreaterThanThreshold", threshold = 10, minutes = 5, missing = "notBreaching"
      text       = "S3 refuses requests (503: too many for a prefix). Agents keep segments in memory for FAILOVER_STORE_LIMIT_S."
    }
  }
  cdn = {
    cdn-errors = {
      namespace  = "AWS/CloudFront", metric = "5xxErrorRate", statistic = "Average"
      dimensions = { DistributionId = try(var.origin.distribution_id, null), Region = "Global" }
      when       = "GreaterThanThreshold", threshold = 1, minutes = 5, missing = "notBreaching"
      text       = "Over 1 % of viewers' requests fail at the CDN."
    }
  }

  # What is not named is not watched.
  regional = merge(
    var.host == null ? {} : local.host,
    var.entry == null ? {} : local.api,
    var.data == null ? {} : local.database,
    local.hints,
    var.origin == null ? {} : local.store,
  )
  global = var.origin == null ? {} : local.cdn

  topic_policy = {
    for region, topic in { here = aws_sns_topic.here, global = one(aws_sns_topic.global) } : region => topic == null ? null : jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Sid       = "Alarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = topic.arn
        Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
      }]
    })
  }
}

data "aws_caller_identity" "current" {}

# --- here -------------------------------------------------------------------------------------------------------------

resource "aws_sns_topic" "here" {
  # checkov:skip=CKV_AWS_26:An alarm's text is no secret, and CloudWatch cannot publish to a topic that SNS's own key encrypts.
  name = "${var.name}-alarms"
}

resource "aws_sns_topic_policy" "here" {
  arn    = aws_sns_topic.here.arn
  policy = local.topic_policy.here
}

resource "aws_sns_topic_subscription" "here" {
  for_each = toset(var.emails)

  topic_arn = aws_sns_topic.here.arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_cloudwatch_metric_alarm" "here" {
  for_each = local.regional

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  statistic           = each.value.statistic
  dimensions          = each.value.dimensions
  comparison_operator = each.value.when
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.minutes
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.here.arn]
  ok_actions          = [aws_sns_topic.here.arn]
}

# --- CloudFront, which tells its metrics in us-east-1 alone, to topics of that region ---------------------------------

resource "aws_sns_topic" "global" {
  # checkov:skip=CKV_AWS_26:An alarm's text is no secret, and CloudWatch cannot publish to a topic that SNS's own key encrypts.
  count = length(local.global) > 0 ? 1 : 0

  region = "us-east-1"
  name   = "${var.name}-alarms-global"
}

resource "aws_sns_topic_policy" "global" {
  count = length(local.global) > 0 ? 1 : 0

  region = "us-east-1"
  arn    = aws_sns_topic.global[0].arn
  policy = local.topic_policy.global
}

resource "aws_sns_topic_subscription" "global" {
  for_each = length(local.global) > 0 ? toset(var.emails) : []

  region    = "us-east-1"
  topic_arn = aws_sns_topic.global[0].arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_cloudwatch_metric_alarm" "global" {
  for_each = local.global

  region              = "us-east-1"
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  statistic           = each.value.statistic
  dimensions          = each.value.dimensions
  comparison_operator = each.value.when
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.minutes
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.global[0].arn]
  ok_actions          = [aws_sns_topic.global[0].arn]
}
