output "topic_arns" {
  description = "Where alarms are told: this region's topic, and the one in us-east-1 for the CDN's"
  value       = concat([aws_sns_topic.here.arn], aws_sns_topic.global[*].arn)
}
