# What one instance is told at its first boot, as cloud-init reads it. There is no resource here: it can be applied, and its output read, anywhere.

locals {
  listen_port = 3129
  addresses   = concat([var.address], [for source in var.sources : source.private])

  # As exeat reads them: PRIVATE=PUBLIC where the Elastic IP is another address.
  route_sources = concat([for source in var.sources : "${source.private}=${source.public}"], var.ipv6_sources)

  settings = templatefile("${path.module}/templates/settings.tftpl", {
    interface_id   = var.interface_id
    addresses      = concat(local.addresses, var.ipv6_sources)
    volume         = var.audit_volume_id
    apt_packages   = var.apt_packages
    package_url    = try(var.package.url, "")
    package_sha256 = try(var.package.sha256, "")
    exeat          = var.exeat_path
    port           = local.listen_port
  })

  network = templatefile("${path.module}/templates/agents0.network.tftpl", {
    mac            = var.interface_mac
    addresses      = local.addresses
    ipv6_addresses = var.ipv6_sources
    gateway        = cidrhost(var.subnet_cidr, 1)
    agents         = concat(var.agent_cidrs, length(var.ipv6_sources) > 0 ? var.agent_ipv6_cidrs : [])
  })

  exeat_conf = templatefile("${path.module}/templates/exeat.conf.tftpl", {
    name        = var.name
    peers       = var.peers
    port        = local.listen_port
    ipv6        = length(var.ipv6_sources) > 0
    mode        = var.mode
    agents      = concat(var.agent_cidrs, var.agent_ipv6_cidrs)
    sources     = local.route_sources
    dns_servers = var.dns_servers
  })

  appliance_conf = templatefile("${path.module}/templates/appliance.conf.tftpl", {
    mode   = var.mode
    agents = concat(var.agent_cidrs, var.agent_ipv6_cidrs)
    ports  = var.ports
    port   = local.listen_port
    exeat  = var.exeat_path
  })

  exeat_service = templatefile("${path.module}/templates/exeat.service.tftpl", {
    exeat     = var.exeat_path
    appliance = var.appliance_path
    mode      = var.mode
  })

  # Path: text.
  files = merge(
    {
      "/etc/exeat/exeat.conf"                    = local.exeat_conf
      "/etc/exeat/appliance.conf"                = local.appliance_conf
      "/etc/exeat/boot/settings"                 = local.settings
      "/etc/systemd/network/05-agents0.link"     = templatefile("${path.module}/templates/agents0.link.tftpl", { mac = var.interface_mac })
      "/etc/systemd/network/05-agents0.network"  = local.network
      "/etc/systemd/networkd.conf.d/exeat.conf"  = file("${path.module}/files/networkd.conf")
      "/etc/sysusers.d/exeat.conf"               = file("${path.module}/files/sysusers.conf")
      "/etc/systemd/system/exeat-boot.service"   = file("${path.module}/files/exeat-boot.service")
      "/etc/systemd/system/exeat.service"        = local.exeat_service
      "/etc/systemd/system/exeat-health.service" = file("${path.module}/files/exeat-health.service")
      "/etc/systemd/system/exeat-health.timer"   = file("${path.module}/files/exeat-health.timer")
    },
    { for name, text in var.policy : "/etc/exeat/conf.d/${name}" => text },
  )

  programs = {
    "/etc/exeat/boot/boot"   = file("${path.module}/files/boot")
    "/etc/exeat/boot/health" = file("${path.module}/files/health")
  }

  text = join("\n", ["#cloud-config", yamlencode({
    write_files = concat(
      [for path in sort(keys(local.files)) : { path = path, content = local.files[path], permissions = "0644" }],
      [for path in sort(keys(local.programs)) : { path = path, content = local.programs[path], permissions = "0755" }],
    )
    runcmd = [
      ["systemctl", "daemon-reload"],
      ["systemctl", "restart", "systemd-networkd.service"],
      ["systemctl", "enable", "--now", "--no-block", "exeat-boot.service"],
    ]
  })])
}
