import type { Words } from '../en'

export const welcome: Words['welcome'] = {
  headline: 'Imagens, reveladas às claras.',
  about:
    'Combine prompts, referências e modelos em uma só tela. Todo trabalho é guardado, todo crédito tem conta certa.',
  signIn: 'Entrar',
  signUp: 'Criar conta',
  signInTitle: 'Que bom ver você de novo',
  signUpTitle: 'Crie sua conta',
  lapsed: 'Sua sessão terminou. Entre para continuar de onde parou.',
  email: 'E-mail',
  password: 'Senha',
  passwordHint: (characters) => `No mínimo ${characters} caracteres.`,
  guest: 'Experimentar sem conta',
  guestHint: 'Seu trabalho fica neste navegador até você adicionar um e-mail.',
  newHere: 'É novo por aqui?',
  knownHere: 'Já tem uma conta?',
  or: 'ou',
  refusals: {
    invalid_credentials:
      'E-mail e senha não conferem. Quem administra este servidor pode definir outra senha.',
    user_already_exists: 'Já existe uma conta com este e-mail. Entre com ela.',
    email_exists: 'Já existe uma conta com este e-mail. Entre com ela.',
    weak_password: 'Esta senha é fraca demais. Escolha uma mais longa.',
    validation_failed: 'Este endereço de e-mail não é válido. Procure um erro de digitação.',
    email_address_invalid: 'Este endereço de e-mail não é válido. Procure um erro de digitação.',
    signup_disabled: 'Este servidor não aceita contas novas. Fale com quem o administra.',
    anonymous_provider_disabled: 'Este servidor pede uma conta a todos. Crie uma acima.',
    over_request_rate_limit: 'Tentativas demais. Espere alguns minutos.',
    user_banned: 'Esta conta está bloqueada. Fale com quem administra este servidor.',
    offline: 'O servidor não responde. Confira sua conexão e tente de novo.',
    failed: 'O servidor errou. Tente de novo daqui a pouco.',
  },
}
