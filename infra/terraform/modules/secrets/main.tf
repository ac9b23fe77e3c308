# Every secret setting is one secret, named after the setting. Values are write-only: Terraform hands them to Secrets Manager
# and forgets them; a value is written again only when its version is counted up.

resource "aws_secretsmanager_secret" "this" {
  for_each = var.versions

  # checkov:skip=CKV2_AWS_57:None of these can be rotated by itself: a new one must reach running services too, see the README's "Rotation".
  # checkov:skip=CKV_AWS_149:Encrypted with the account's own key unless `kms_key_arn` says otherwise.
  name                    = "${var.name}/${each.key}"
  description             = "The setting ${each.key} of ${var.name}"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.recovery_window_days
}

resource "aws_secretsmanager_secret_version" "this" {
  for_each = var.versions

  secret_id                = aws_secretsmanager_secret.this[each.key].id
  secret_string_wo         = var.values[each.key]
  secret_string_wo_version = each.value
}
