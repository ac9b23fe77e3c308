# The truth and the hints. PostgreSQL holds every row, so it is kept in two zones, backed up and guarded from deletion.
# Valkey holds nothing that could be lost (law 1), so it is never backed up.

ephemeral "random_password" "postgres" {
  length  = 32
  special = false # it stands in a URL
}

# Not ephemeral: ElastiCache takes its token as an ordinary argument, so the state holds it either way.
resource "random_password" "valkey" {
  length  = 32
  special = false

  keepers = { version = var.password_version }
}

# --- who may connect --------------------------------------------------------------------------------------------------

resource "aws_security_group" "data" {
  name_prefix = "${var.name}-data-"
  description = "PostgreSQL and Valkey: the hosts alone, and nothing goes out"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-data" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "data" {
  for_each = { PostgreSQL = 5432, Valkey = 6379 }

  security_group_id            = aws_security_group.data.id
  description                  = "${each.key}, from hosts"
  referenced_security_group_id = var.client_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

# --- PostgreSQL -------------------------------------------------------------------------------------------------------

resource "aws_db_subnet_group" "this" {
  name_prefix = "${var.name}-"
  subnet_ids  = var.subnet_ids
}

resource "aws_db_parameter_group" "this" {
  name_prefix = "${var.name}-"
  family      = "postgres${split(".", var.postgres_version)[0]}"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  parameter {
    name  = "log_statement"
    value = "ddl"
  }

  parameter {
    name  = "log_min_duration_statement"
    value = "1000" # ms
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_iam_role" "monitoring" {
  name_prefix = "${var.name}-rds-"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "monitoring.rds.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

data "aws_partition" "current" {}

resource "aws_iam_role_policy_attachment" "monitoring" {
  role       = aws_iam_role.monitoring.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}

resource "aws_db_instance" "this" {
  # checkov:skip=CKV_AWS_161:A service with long-lived connections signs in once; its password is a secret that only its host reads. IAM tokens would be one more call that can fail.
  # checkov:skip=CKV_AWS_354:Performance Insights is encrypted with the account's own key unless `kms_key_arn` says otherwise.
  identifier = var.name

  engine         = "postgres"
  engine_version = var.postgres_version
  instance_class = var.postgres_class

  db_name              = "failover"
  username             = "failover"
  password_wo          = ephemeral.random_password.postgres.result
  password_wo_version  = var.password_version
  parameter_group_name = aws_db_parameter_group.this.name
  ca_cert_identifier   = "rds-ca-rsa2048-g1"

  storage_type          = "gp3"
  allocated_storage     = var.postgres_storage_gb
  max_allocated_storage = var.postgres_storage_gb * 5
  storage_encrypted     = true
  kms_key_id            = var.kms_key_arn

  multi_az               = var.multi_az
  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.data.id]
  publicly_accessible    = false

  backup_retention_period   = var.backup_retention_days
  backup_window             = "02:00-03:00"
  copy_tags_to_snapshot     = true
  delete_automated_backups  = false
  deletion_protection       = var.deletion_protection
  skip_final_snapshot       = !var.deletion_protection
  final_snapshot_identifier = "${var.name}-final"

  maintenance_window         = "sun:03:30-sun:04:30"
  auto_minor_version_upgrade = true

  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]
  monitoring_interval             = 60
  monitoring_role_arn             = aws_iam_role.monitoring.arn
  performance_insights_enabled    = true
  performance_insights_kms_key_id = var.kms_key_arn
}

# --- Valkey -----------------------------------------------------------------------------------------------------------

resource "aws_elasticache_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.subnet_ids
}

resource "aws_elasticache_replication_group" "this" {
  # checkov:skip=CKV_AWS_191:Encrypted with the account's own key unless `kms_key_arn` says otherwise; nothing is kept here.
  replication_group_id = var.name
  description          = "Hints between API and orchestrator"

  engine         = "valkey"
  engine_version = var.valkey_version
  node_type      = var.valkey_node_type
  port           = 6379

  num_cache_clusters         = var.multi_az ? 2 : 1
  automatic_failover_enabled = var.multi_az
  multi_az_enabled           = var.multi_az

  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  auth_token                 = random_password.valkey.result
  auth_token_update_strategy = "ROTATE" # the old one stays good beside the new one
  at_rest_encryption_enabled = true
  kms_key_id                 = var.kms_key_arn

  subnet_group_name  = aws_elasticache_subnet_group.this.name
  security_group_ids = [aws_security_group.data.id]

  snapshot_retention_limit   = 0
  maintenance_window         = "sun:04:30-sun:05:30"
  auto_minor_version_upgrade = true
}

# --- how to reach them ------------------------------------------------------------------------------------------------

module "secrets" {
  source = "../secrets"

  name        = var.name
  kms_key_arn = var.kms_key_arn

  versions = {
    FAILOVER_DATABASE_URL = var.password_version
    FAILOVER_REDIS_URL    = var.password_version
  }
  values = {
    FAILOVER_DATABASE_URL = format(
      "postgresql://%s:%s@%s:%d/%s?sslmode=verify-full&sslrootcert=%s",
      aws_db_instance.this.username,
      ephemeral.random_password.postgres.result,
      aws_db_instance.this.address,
      aws_db_instance.this.port,
      aws_db_instance.this.db_name,
      var.ca_path,
    )
    FAILOVER_REDIS_URL = format(
      "rediss://:%s@%s:%d/0",
      random_password.valkey.result,
      aws_elasticache_replication_group.this.primary_endpoint_address,
      aws_elasticache_replication_group.this.port,
    )
  }
}
