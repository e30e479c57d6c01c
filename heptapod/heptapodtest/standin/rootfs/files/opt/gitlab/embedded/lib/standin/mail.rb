# frozen_string_literal: true

# Mail as Rails sends it in the image: by SMTP with the settings of
# gitlab_rails['smtp_…'], as omnibus-gitlab's smtp_settings.rb.erb and the gem
# mail (lib/mail/network/delivery_methods/smtp.rb) hand them to Net::SMTP; by
# sendmail, which the image does not have, where smtp_enable is not set.
require 'net/smtp'
require 'openssl'
require 'securerandom'
require 'time'

module Gitlab
  # What the settings in force came to for gitlab.yml.
  class MailSettings
    CONTROL = '/run/gitlab/control.socket'

    def self.rails
      _, settings = Forge.call('GET', '/settings', nil, socket: CONTROL)
      @host = settings['external_url'].to_s[%r{\Ahttps?://([^/:]+)}, 1]
      settings['gitlab_rails'] || {}
    end

    def email_enabled = self.class.rails.fetch('gitlab_email_enabled', true)
    def host = self.class.rails && self.class.instance_variable_get(:@host)
    def email_from = self.class.rails['gitlab_email_from'] || "gitlab@#{host}"
    def email_reply_to = self.class.rails['gitlab_email_reply_to'] || "noreply@#{host}"
    def email_display_name = self.class.rails['gitlab_email_display_name'] || 'GitLab'
  end

  Config = Struct.new(:gitlab)
  def self.config = @config ||= Config.new(MailSettings.new)
end

module ActionMailer
  class Base
    KEYS = %w[address port user_name password domain authentication enable_starttls_auto tls ssl openssl_verify_mode ca_path ca_file
              open_timeout read_timeout].freeze

    def self.delivery_method = Gitlab::MailSettings.rails['smtp_enable'] == true ? :smtp : :sendmail

    def self.smtp_settings
      rails = Gitlab::MailSettings.rails
      KEYS.to_h { |key| [key.to_sym, rails["smtp_#{key}"]] }.compact
    end
  end
end

class Notify
  def self.test_email(to, subject, body) = Message.new(to, subject, body)

  class Message
    attr_reader :to, :subject

    def initialize(to, subject, body) = (@to, @subject, @body = [to], subject, body)

    def from = [Gitlab.config.gitlab.email_from]

    def encoded
      settings = Gitlab.config.gitlab
      [
        "Date: #{Time.now.rfc2822}", "From: #{settings.email_display_name} <#{settings.email_from}>",
        "Reply-To: #{settings.email_display_name} <#{settings.email_reply_to}>", "To: #{to.join(', ')}",
        "Message-ID: <#{SecureRandom.hex(12)}@#{settings.host}>", "Subject: #{subject}", 'Mime-Version: 1.0',
        'Content-Type: text/html; charset=UTF-8', 'Content-Transfer-Encoding: 7bit', 'Auto-Submitted: auto-generated',
        'X-Auto-Response-Suppress: All', '', @body, ''
      ].join("\r\n")
    end

    def deliver_now
      return self unless Gitlab.config.gitlab.email_enabled

      settings = ActionMailer::Base.smtp_settings
      # What the gem does where the configuration names another way.
      raise Errno::ENOENT, '/usr/sbin/sendmail' if ActionMailer::Base.delivery_method == :sendmail

      session(settings).start(settings[:domain] || 'localhost.localdomain', settings[:user_name], settings[:password], settings[:authentication]&.to_sym) do |smtp|
        smtp.sendmail(encoded, from.first, to)
      end
      self
    end
    alias deliver deliver_now

    private

    def session(settings)
      smtp = Net::SMTP.new(settings[:address] || 'localhost', (settings[:port] || 25).to_i)
      smtp.open_timeout = settings[:open_timeout] || 5
      smtp.read_timeout = settings[:read_timeout] || 5
      if settings[:tls] || settings[:ssl]
        raise ArgumentError, ':enable_starttls_auto and :tls are mutually exclusive' if settings[:enable_starttls_auto]

        smtp.disable_starttls
        smtp.enable_tls(context(settings))
      elsif settings.fetch(:enable_starttls_auto, true)
        smtp.disable_tls
        smtp.enable_starttls_auto(context(settings))
      else
        smtp.disable_tls
        smtp.disable_starttls
      end
      smtp
    end

    def context(settings)
      context = Net::SMTP.default_ssl_context
      mode = settings[:openssl_verify_mode]
      context.verify_mode = OpenSSL::SSL.const_get("VERIFY_#{mode.upcase}") if mode
      context.ca_path = settings[:ca_path] if settings[:ca_path]
      context.ca_file = settings[:ca_file] if settings[:ca_file]
      context
    end
  end
end
