# What a host may do: read its own release and its own secrets, write its own log, and give itself up. It has no right to the
# bucket: what is signed is signed by a key of its own (modules/origin), which is one of the secrets.

resource "aws_iam_role" "host" {
  name_prefix = "${var.name}-host-"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_instance_profile" "host" {
  name_prefix = "${var.name}-host-"
  role        = aws_iam_role.host.name
}

resource "aws_iam_role_policy" "host" {
  # checkov:skip=CKV_AWS_290:Session Manager's and ECR's own calls know no resources.
  # checkov:skip=CKV_AWS_355:Session Manager's and ECR's own calls know no resources.
  name = "host"
  role = aws_iam_role.host.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        # Session Manager and Run Command. Not AWS's managed policy for them, which also reads every parameter of the account.
        {
          Sid    = "SessionManager"
          Effect = "Allow"
          Action = [
            "ssm:UpdateInstanceInformation",
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
            "ec2messages:AcknowledgeMessage",
            "ec2messages:DeleteMessage",
            "ec2messages:FailMessage",
            "ec2messages:GetEndpoint",
            "ec2messages:GetMessages",
            "ec2messages:SendReply",
          ]
          Resource = ["*"]
        },
        {
          Sid      = "OwnRelease"
          Effect   = "Allow"
          Action   = ["ssm:GetParametersByPath"]
          Resource = ["${local.aws}:ssm:${local.region}:${local.account}:parameter/${var.name}/files"]
        },
        {
          Sid      = "OwnSecrets"
          Effect   = "Allow"
          Action   = ["secretsmanager:GetSecretValue"]
          Resource = values(var.secret_arns)
        },
        {
          Sid      = "OwnLog"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = ["${aws_cloudwatch_log_group.host.arn}:*"]
        },
        {
          Sid      = "OwnEnd"
          Effect   = "Allow"
          Action   = ["autoscaling:SetInstanceHealth"]
          Resource = [local.group_arn]
        },
      ],
      length(var.ecr_repository_arns) == 0 ? [] : [
        {
          Sid      = "Registry"
          Effect   = "Allow"
          Action   = ["ecr:GetAuthorizationToken"]
          Resource = ["*"]
        },
        {
          Sid      = "OwnImages"
          Effect   = "Allow"
          Action   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
          Resource = var.ecr_repository_arns
        },
      ],
      var.secrets_key == null ? [] : [
        {
          Sid       = "SecretsKey"
          Effect    = "Allow"
          Action    = ["kms:Decrypt"]
          Resource  = [var.secrets_key.arn]
          Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${local.region}.amazonaws.com" } }
        },
      ],
    )
  })
}
