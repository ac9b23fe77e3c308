mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name                     = "tv"
  vpc_id                   = "vpc-1"
  subnet_ids               = ["subnet-1", "subnet-2"]
  client_security_group_id = "sg-host"
}

run "by_default" {
  # Rows are kept.
  assert {
    condition     = aws_db_instance.this.multi_az && aws_db_instance.this.storage_encrypted && aws_db_instance.this.deletion_protection && !aws_db_instance.this.skip_final_snapshot
    error_message = "In two zones, encrypted, guarded from deletion"
  }

  assert {
    condition     = aws_db_instance.this.backup_retention_period == 14 && !aws_db_instance.this.delete_automated_backups
    error_message = "Backed up, also after its end"
  }

  assert {
    condition     = contains([for each in aws_db_parameter_group.this.parameter : "${each.name}=${each.value}"], "rds.force_ssl=1") && aws_db_instance.this.parameter_group_name == aws_db_parameter_group.this.name
    error_message = "TLS is forced"
  }

  assert {
    condition     = aws_db_instance.this.password_wo == null && aws_db_instance.this.password_wo_version == 1
    error_message = "The state holds no password of it"
  }

  # Hints are encrypted, and survive a node.
  assert {
    condition     = aws_elasticache_replication_group.this.engine == "valkey" && aws_elasticache_replication_group.this.transit_encryption_mode == "required" && aws_elasticache_replication_group.this.at_rest_encryption_enabled == "true"
    error_message = "Valkey, over TLS"
  }

  assert {
    condition     = aws_elasticache_replication_group.this.auth_token == random_password.valkey.result && random_password.valkey.length == 32 && aws_elasticache_replication_group.this.automatic_failover_enabled
    error_message = "With a token, and a second node"
  }

  assert {
    condition     = join(" ", output.valkey_node_ids) == "tv-001 tv-002"
    error_message = "Nodes as their metrics name them"
  }

  # Hosts alone connect.
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.data : rule.referenced_security_group_id == "sg-host"]) && !aws_db_instance.this.publicly_accessible
    error_message = "From the hosts' security group alone"
  }

  assert {
    condition     = keys(output.secret_arns) == ["FAILOVER_DATABASE_URL", "FAILOVER_REDIS_URL"]
    error_message = "How to reach them is a secret each"
  }
}

run "small" {
  variables {
    multi_az            = false
    deletion_protection = false
    password_version    = 2
  }

  assert {
    condition     = !aws_db_instance.this.multi_az && aws_elasticache_replication_group.this.num_cache_clusters == 1 && length(output.valkey_node_ids) == 1
    error_message = "One node of each"
  }

  assert {
    condition     = aws_db_instance.this.password_wo_version == 2 && random_password.valkey.keepers.version == "2"
    error_message = "New passwords of both"
  }
}

run "refuses_what_cannot_be" {
  command = plan

  variables {
    name                  = "tv-"
    subnet_ids            = ["subnet-1"]
    postgres_version      = "9.6"
    postgres_class        = "t4g.medium"
    postgres_storage_gb   = 5
    backup_retention_days = 0
    valkey_version        = "8"
    valkey_node_type      = "t4g.micro"
    ca_path               = "rds-ca.pem"
  }

  expect_failures = [
    var.name, var.subnet_ids, var.postgres_version, var.postgres_class, var.postgres_storage_gb, var.backup_retention_days,
    var.valkey_version, var.valkey_node_type, var.ca_path,
  ]
}
