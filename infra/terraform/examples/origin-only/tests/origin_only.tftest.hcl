mock_provider "aws" {
  source = "../../mocks"
}

variables {
  region     = "eu-west-1"
  host_cidrs = ["203.0.113.7/32"]
}

run "what_goes_into_an_env_file" {
  assert {
    condition = nonsensitive(output.dotenv) == join("", [
      "FAILOVER_ORIGIN_URL=https://d1.cloudfront.net\n",
      "FAILOVER_S3_ACCESS_KEY=AKIAEXAMPLE\n",
      "FAILOVER_S3_BUCKET=bucket\n",
      "FAILOVER_S3_ENDPOINT=https://s3.eu-west-1.amazonaws.com\n",
      "FAILOVER_S3_REGION=eu-west-1\n",
      "FAILOVER_S3_SECRET_KEY=example\n",
    ])
    error_message = "A line for each setting"
  }
}
