import type { Words } from '../en'

export const rows: Words['rows'] = {
  statuses: {
    queued: 'Na fila',
    processing: 'Gerando',
    pending: 'Esperando',
    generating: 'Gerando',
    training: 'Treinando',
    ready: 'Pronta',
    completed: 'Concluído',
    failed: 'Falhou',
    canceled: 'Cancelado',
  },
  entries: {
    grant: 'Adicionados',
    hold: 'Retidos',
    capture: 'Gastos',
    release: 'Liberados',
  },
  pictures: (count) => `${count} imagens`,
}
