# What an instance may do: attach the interface and the audit volume of its zone to an instance of its zone, report its own group's instance
# unhealthy, read its package. There is a role a zone, so that one cannot take another's. Source/dest check is off on the interface itself, so
# ec2:ModifyNetworkInterfaceAttribute is not needed.

data "aws_partition" "current" {}

locals {
  arn = "arn:${data.aws_partition.current.partition}"

  # s3://bucket/key: readable by the roles; nothing for an https:// package.
  package_object = var.package == null ? [] : [
    for match in regexall("^s3://([^/]+)/(.+)$", var.package.url) : "${local.arn}:s3:::${match[0]}/${match[1]}"
  ]
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "zone" {
  for_each = var.zones

  statement {
    sid       = "TheZonesInterface"
    actions   = ["ec2:AttachNetworkInterface"]
    resources = [aws_network_interface.zone[each.key].arn]
  }

  statement {
    sid       = "TheZonesVolume"
    actions   = ["ec2:AttachVolume"]
    resources = [aws_ebs_volume.audit[each.key].arn]
  }

  # Both actions are also asked about the instance they attach to: only those that the zone's launch template tagged.
  statement {
    sid       = "ToTheZonesInstance"
    actions   = ["ec2:AttachNetworkInterface", "ec2:AttachVolume"]
    resources = ["${local.arn}:ec2:*:*:instance/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/exeat-appliance"
      values   = ["${var.name}-${each.key}"]
    }
  }

  statement {
    sid       = "OfItsOwnGroup"
    actions   = ["autoscaling:SetInstanceHealth"]
    resources = ["${local.arn}:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/${var.name}-${each.key}"]
  }

  dynamic "statement" {
    for_each = local.package_object

    content {
      sid       = "ThePackage"
      actions   = ["s3:GetObject"]
      resources = [statement.value]
    }
  }
}

resource "aws_iam_role" "zone" {
  for_each = var.zones

  name_prefix        = "${var.name}-${each.key}-"
  description        = "exeat's appliance of zone ${each.key}"
  assume_role_policy = data.aws_iam_policy_document.assume.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "zone" {
  for_each = var.zones

  name   = "appliance"
  role   = aws_iam_role.zone[each.key].id
  policy = data.aws_iam_policy_document.zone[each.key].json
}

resource "aws_iam_role_policy_attachment" "further" {
  for_each = { for pair in setproduct(keys(var.zones), keys(var.role_policy_arns)) : "${pair[0]}/${pair[1]}" => { zone = pair[0], name = pair[1] } }

  role       = aws_iam_role.zone[each.value.zone].name
  policy_arn = var.role_policy_arns[each.value.name]
}

resource "aws_iam_instance_profile" "zone" {
  for_each = var.zones

  name_prefix = "${var.name}-${each.key}-"
  role        = aws_iam_role.zone[each.key].name
  tags        = var.tags
}
