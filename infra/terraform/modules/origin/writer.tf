# The key that signs. A signature is good for as long as the key behind it, and the addresses that a container gets are signed
# for days: temporary credentials (a role's) end after hours, and every signature made with them ends then, too. So this is a
# user with a long-lived key, which may do nothing but move media, from nowhere but where `writer_*` says.
#
# Two generations may live side by side: while a new one signs, what the old one has signed stays valid until it is retired.

locals {
  generations = toset([for each in [var.key_generation, var.retiring_key_generation] : tostring(each) if each != null])

  # Any one of them is enough; none at all: from anywhere.
  writer_conditions = {
    for name, condition in {
      endpoints = { StringEquals = { "aws:SourceVpce" = var.writer_vpc_endpoint_ids } }
      addresses = { IpAddress = { "aws:SourceIp" = var.writer_cidrs } }
      anywhere  = null
      } : name => condition if {
      endpoints = length(var.writer_vpc_endpoint_ids) > 0
      addresses = length(var.writer_cidrs) > 0
      anywhere  = length(concat(var.writer_vpc_endpoint_ids, var.writer_cidrs)) == 0
    }[name]
  }
  writer_statements = [
    {
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
      Resource = [for key in ["playlists/*", "segments/*", "logs/*", "orders/*", "inbox/*", "prepared"] : "${aws_s3_bucket.media.arn}/${key}"]
    },
    # On the whole bucket, which holds nothing else: limited to prefixes, S3 would answer 403 for a playlist that is not there
    # yet, which an agent must be able to tell from a refusal.
    {
      Effect   = "Allow"
      Action   = ["s3:ListBucket"]
      Resource = [aws_s3_bucket.media.arn]
    },
  ]
}

resource "aws_iam_user" "writer" {
  # checkov:skip=CKV_AWS_273:Not a person: a signature must outlive every temporary credential, see above.
  name = "${var.name}-writer"
}

resource "aws_iam_user_policy" "writer" {
  # checkov:skip=CKV_AWS_40:One user, one policy, made and ended together; a group of one would say less.
  name = "media"
  user = aws_iam_user.writer.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = flatten([
      for condition in local.writer_conditions : [
        for statement in local.writer_statements : merge(statement, { for key, value in { Condition = condition } : key => value if value != null })
      ]
    ])
  })
}

resource "aws_iam_access_key" "writer" {
  for_each = local.generations

  user = aws_iam_user.writer.name
}
