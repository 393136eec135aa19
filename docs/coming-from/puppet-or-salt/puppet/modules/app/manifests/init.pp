class app (
  Integer $port,
  Array[String] $peers,
  Hash $settings,
) {
  group { 'app':
    ensure => present,
    system => true,
  }

  file { '/etc/app':
    ensure => directory,
    mode   => '0755',
  }

  file { '/etc/app/app.conf':
    ensure  => file,
    mode    => '0640',
    group   => 'app',
    content => epp('app/app.conf.epp', { port => $port, peers => $peers, settings => $settings }),
    require => Group['app'],
    notify  => Service['app'],
  }

  file { '/etc/systemd/system/app.service':
    ensure => file,
    mode   => '0644',
    source => 'puppet:///modules/app/app.service',
    notify => Service['app'],
  }

  service { 'app':
    ensure => running,
    enable => true,
  }

  file { '/etc/app/current':
    ensure => link,
    target => '/etc/app/app.conf',
  }
}
